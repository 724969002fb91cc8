/* A JUnit XML file as CircleCI's and GitHub's readers take it: one suite, a test case each.
 * Strings may come from anywhere: what XML cannot hold or what deceives is made visible (log.h), and
 * what is too long for its readers is cut, with how much is missing.
 * Format: https://github.com/testmoapp/junitxml. */
#ifndef NECOOPS_REPORT_JUNIT_H
#define NECOOPS_REPORT_JUNIT_H

#include <stddef.h>
#include <stdint.h>
#include "necoops/base/err.h"

enum junit_outcome { JUNIT_PASSED, JUNIT_FAILED, JUNIT_ERROR, JUNIT_SKIPPED };

struct junit_case {
    const char *name;
    const char *classname;
    const char *file; /* of the manifest to blame, or NULL */
    int line;         /* 0: unknown */
    int64_t ms;
    enum junit_outcome outcome;
    const char *message; /* one line; NULL when passed */
    const char *text;    /* the whole story, or NULL */
};

struct junit_suite {
    const char *name;
    int64_t started_ms; /* wall clock */
    int64_t ms;
    const struct junit_case *cases;
    size_t len;
};

/* Written whole or not at all. */
int junit_write(const char *path, const struct junit_suite *suite, struct err *err) MUST_CHECK;

#endif
