/* Each token's loss and its derivative by the logits, in double precision, as a program for lossproof check --exec.
   cc -O2 -std=c99 -o cross_entropy cross_entropy.c -lm     (docs/exec-protocol.md describes the lines) */
#define _POSIX_C_SOURCE 200809L /* getline */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t read_list(const char *line, const char *key, double *list) { /* key: "name":[ */
    const char *at = strstr(line, key);
    size_t n = 0;
    for (at = at ? at + strlen(key) : "]"; *at != ']';)
        if (*at == ',' || *at == '"') at++; /* also the quotes of "NaN", "Infinity" and "-Infinity" */
        else list[n++] = strtod(at, (char **)&at);
    return n;
}

static void write_list(const char *before, const double *list, size_t n, int single, const char *after) {
    fputs(before, stdout);
    for (size_t i = 0; i < n; i++) { /* 17 digits are exact; JSON has numbers for finite ones alone */
        double x = single ? (float)list[i] : list[i];
        printf(isfinite(x) ? "%s%.17g" : "%s\"%g\"", i ? "," : "", x);
    }
    fputs(after, stdout);
}

static double token(const double *x, size_t V, double target, double cotangent, double *gradient) {
    double m = -INFINITY, others = 0, undefined = 0;
    for (size_t j = 0; j < V; j++) {
        undefined += !(x[j] < INFINITY); /* NaN too */
        m = x[j] > m ? x[j] : m;
    }
    int excluded = !(target >= 0 && target < V); /* EXCL-2 */
    if (excluded || undefined || m == -INFINITY) { /* STATE-3 */
        for (size_t j = 0; j < V; j++) gradient[j] = excluded ? 0 : NAN;
        return excluded ? 0 : NAN;
    }
    size_t t = (size_t)target;
    for (size_t j = 0; j < V; j++) others += j == t ? 0 : exp(x[j] - m);
    double sum = others + exp(x[t] - m);
    for (size_t j = 0; j < V; j++) gradient[j] = cotangent * (j == t ? -others : exp(x[j] - m)) / sum; /* p - 1 at t */
    return x[t] == m ? log1p(others) : (m - x[t]) + log(sum); /* ACC-1 */
}

int main(void) {
    char *line = NULL;
    for (size_t size = 0; getline(&line, &size, stdin) > 0; fflush(stdout)) {
        if (strstr(line, "\"op\":\"hello\"")) {
            puts("{\"protocol\":1,\"name\":\"cross_entropy.c\",\"dtypes\":[\"float32\",\"float64\"],\"derivatives\":[\"logits\"],"
                 "\"functions\":{\"token_cross_entropy\":{\"outputs\":[\"loss\"],\"arguments\":[\"logits\",\"targets\"]}}}");
            continue;
        }
        size_t most = strlen(line) / 2 + 1; /* a number and its comma take two characters */
        double *x = malloc(5 * most * sizeof *x), *targets = x + most, *cotangents = targets + most, shape[9];
        double *gradient = cotangents + most, *loss = gradient + most;
        size_t V = (size_t)shape[read_list(line, "\"shape\":[", shape) - 1];
        size_t n = read_list(line, "\"logits\":[", x), N = read_list(line, "\"targets\":[", targets);
        int single = strstr(line, "\"dtype\":\"float32\"") != NULL;
        size_t wanted = read_list(line, "\"loss\":[", cotangents);
        for (size_t i = 0; i < N; i++)
            loss[i] = token(x + i * V, V, targets[i], wanted ? cotangents[i] : 0, gradient + i * V);
        printf("{\"id\":%ld,", strtol(strstr(line, "\"id\":") + 5, NULL, 10));
        write_list("\"outputs\":{\"loss\":[", loss, N, single, "]}");
        if (strstr(line, "\"op\":\"gradients\"")) write_list(",\"gradients\":{\"logits\":[", gradient, n, single, "]}");
        puts("}");
        free(x);
    }
    free(line);
    return 0;
}
