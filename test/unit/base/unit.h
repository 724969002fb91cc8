/* What every unit test of the ground floor starts with. */
#ifndef UNIT_H
#define UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "necoops/base/err.h"

/* The error's code and its whole text; it is empty afterwards. */
#define assert_err(err, wanted, message)                                                           \
    do {                                                                                           \
        assert_string_equal(err_text(&(err)), (message));                                          \
        assert_int_equal((err).code, (wanted));                                                    \
        err_clear(&(err));                                                                         \
    } while (0)

#define assert_ok(call, err)                                                                       \
    do {                                                                                           \
        if ((call) != 0)                                                                           \
            fail_msg("%s: %s", #call, err_text(&(err)));                                           \
    } while (0)

/* A heap string; freed. */
#define assert_text(call, wanted)                                                                  \
    do {                                                                                           \
        char *text_ = (call);                                                                      \
        assert_non_null(text_);                                                                    \
        assert_string_equal(text_, (wanted));                                                      \
        free(text_);                                                                               \
    } while (0)

#endif
