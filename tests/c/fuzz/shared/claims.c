/* claims - what must hold, or libFuzzer keeps the input. */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>

#include <openssl/err.h>

#define PRIOR_REASON 1

static void fail(const char *kind, const char *what)
{
    (void)fprintf(stderr, "%s: %s\n", kind, what);
    ERR_print_errors_fp(stderr);
    abort();
}

void must(bool ok, const char *what)
{
    if (!ok)
        fail("the test itself cannot", what);
}

void claim(bool holds, const char *what)
{
    if (!holds)
        fail("violated", what);
}

void queue_begin(void)
{
    ERR_clear_error();
    ERR_raise(ERR_LIB_USER, PRIOR_REASON);
}

void queue_end(const char *what)
{
    unsigned long first = ERR_get_error();

    claim(ERR_GET_LIB(first) == ERR_LIB_USER && ERR_GET_REASON(first) == PRIOR_REASON, what);
    claim(ERR_peek_error() == 0, what);
}
