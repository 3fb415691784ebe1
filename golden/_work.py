"""Answers to many questions, in this process or several."""

from collections.abc import Callable, Iterable
from concurrent.futures import Executor, ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeAlias

from lossproof.golden._case import Case, Question
from lossproof.golden._functions import answer

Progress: TypeAlias = Callable[[int, int, str], None]  # cases done, cases in all, the id of the last one


def answer_all(questions: list[tuple[str, Question]], workers: int | Executor, progress: Progress | None) -> list[Case]:
    """Returns the case of each (topic, question), in the same order whatever the number of workers.

    Args:
      questions: the topic's name and the question.
      workers: how many processes compute, 1 for none besides this one; or who computes.
      progress: is called after each case.

    Raises:
      GoldenError: see `answer`.
      ValueError: workers is less than 1.
    """
    if isinstance(workers, Executor):
        return _counted(workers.map(_answer, questions), len(questions), progress)
    if workers < 1:
        raise ValueError(f"workers must be at least 1, got workers={workers}")
    if workers == 1:
        return _counted(map(_answer, questions), len(questions), progress)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        return _counted(pool.map(_answer, questions), len(questions), progress)


def _answer(item: tuple[str, Question]) -> Case:
    topic, question = item
    return answer(question, topic)


def _counted(cases: Iterable[Case], total: int, progress: Progress | None) -> list[Case]:
    done = []
    for case in cases:
        done.append(case)
        if progress is not None:
            progress(len(done), total, case.id)
    return done
