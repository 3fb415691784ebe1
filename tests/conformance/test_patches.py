"""Mutants as patches: what a file says is what is edited, and what is no patch is refused."""

import pytest

from lossproof.conformance.mutants._edit import Edit
from lossproof.conformance.mutants._patches import PatchError, read_patches

FILE = """\
# Of all kinds.

## first: VALUE-1, GRAD-1
#! declares uniform no-entropy
# A story that is
# told in two lines
 def f(x):

-    return x
+    y = x
+
+    return y

## second: ACC-6
# another one
-a
"""


def read(tmp_path, text):
    path = tmp_path / "some.diff"
    path.write_text(text, encoding="utf-8")
    return read_patches(path)


def test_a_patch_is_the_edit_that_it_shows(tmp_path):
    """Fails when a line, an empty one too, is lost on the way from the patch to the edit, or a section is."""
    first, second = read(tmp_path, FILE)
    assert first == Edit(
        "first",
        ("VALUE-1", "GRAD-1"),
        "A story that is told in two lines",
        "def f(x):\n\n    return x",
        "def f(x):\n\n    y = x\n\n    return y",
        "uniform no-entropy",
    )
    assert second == Edit("second", ("ACC-6",), "another one", "a", "")


def test_a_good_loss_says_where_it_differs_or_is_a_file(tmp_path):
    """Fails when a good loss is held to the base where it may differ, or its file is not found."""
    text = "## here\n#! computes differently: f, g\n-a\n+b\n\n## there\n#! is the file x.py\n# it\n"
    here, there = read(tmp_path, text)
    assert here == Edit("here", (), "", "a", "b", functions=("f", "g"))
    assert there == Edit("there", (), "it", file="x.py")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "## name: VALUE-1\n# story\ncode without a mark\n",
            "or a space, got 'code without a mark'",
        ),
        ("## name: VALUE-1\n# story\n the same\n", "got none that change anything"),
    ],
)
def test_what_is_no_patch_is_refused(tmp_path, text, message):
    """Fails when a slip in a patch makes a mutant that is the base itself, or edits other lines than it shows."""
    with pytest.raises(PatchError, match=message):
        read(tmp_path, text)
