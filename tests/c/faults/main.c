/* faults - every allocation of the server fails, once or from then on, one run for each.
 *
 * Usage: faults STEP FIRST [ROWS].  Tries the allocations number FIRST, FIRST + STEP ... of each
 * action, until there are no more; where there are few, all.  1 1 tries all.  ROWS: only of actions
 * whose row of the table contains that text.  The last row has the sums; exits with 1 if an outcome
 * is not allowed (faults.h), 2 if the test itself failed.  With AddressSanitizer a leak counts,
 * too.
 */
#include "faults.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#else
#define __lsan_do_recoverable_leak_check() 0
#endif

#define REPORTS 8 /* positions told of each row, at most */

typedef outcome action(const variety *v, const fault *f);

typedef struct {
    size_t positions, counts[OUTCOMES], leaks;
} row;

static const char *const names[OUTCOMES] = {
    "same", "refused", "trusted", "untrusted", "anonymous", "different", "kept", "half", "lasting"};

void must(bool ok, const char *what)
{
    if (ok)
        return;
    allocator_rest();
    (void)fprintf(stderr, "faults: cannot %s\n", what);
    ERR_print_errors_fp(stderr);
    exit(2);
}

static void print_row(const char *what, const row *r)
{
    (void)printf("%-58s %6zu", what, r->positions);
    for (int i = 0; i < OUTCOMES; i++)
        (void)printf(" %9zu", r->counts[i]);
    (void)printf(" %5zu\n", r->leaks);
    (void)fflush(stdout);
}

static size_t step = 1, first = 1;
static row sum;
static const char *only; /* rows whose name contains it */

/* try_all - of one action; those of which there are few, one by one */
static void try_all(const char *name, action *attempt, const variety *v, bool lasting)
{
    const bool few = attempt != attempt_handshake && attempt != attempt_verify
                     && attempt != attempt_attach && attempt != attempt_renew;
    static const char *const modes[] = {"ask", "optional", "require"};
    row r = {0};
    char what[80];
    size_t reports = 0;

    (void)snprintf(what, sizeof(what), "%s, %s%s, %s, TLS 1.%d, %s", name,
                   v->trusted ? "trusted" : "untrusted", v->resumed ? ", resumed" : "",
                   modes[v->mode], v->version == TLS1_3_VERSION ? 3 : 2,
                   lasting ? "for good" : "once");
    if (only != NULL && strstr(what, only) == NULL)
        return;
    for (size_t nth = few ? 1 : first;; nth += few ? 1 : step) {
        const fault f = {.nth = nth, .lasting = lasting};
        outcome found = attempt(v, &f);

        if (found == NONE)
            break;
        r.positions++;
        r.counts[found]++;
        if (found > WORST_ALLOWED && reports++ < REPORTS)
            (void)printf("  %s: allocation %zu: %s\n", what, nth, names[found]);
    }
    r.leaks = __lsan_do_recoverable_leak_check() != 0;
    print_row(what, &r);
    sum.positions += r.positions;
    sum.leaks += r.leaks;
    for (int i = 0; i < OUTCOMES; i++)
        sum.counts[i] += r.counts[i];
}

static void try_both(const char *name, action *attempt, variety v)
{
    try_all(name, attempt, &v, false);
    try_all(name, attempt, &v, true);
}

static void try_version(int version)
{
    for (enum mode mode = ASK; mode <= REQUIRE; mode++) {
        const variety trusted = {version, mode, true, false}, again = {version, mode, true, true};

        try_both("handshake", attempt_handshake, trusted);
        try_both("handshake", attempt_handshake, (variety){version, mode, false, false});
        try_both("handshake", attempt_handshake, again);
    }
    try_both("peer", attempt_peer, (variety){version, ASK, true, false});
    try_both("peer", attempt_peer, (variety){version, ASK, true, true});
    try_both("peer", attempt_peer, (variety){version, ASK, false, false});
}

int main(int argc, char **argv)
{
    const variety any = {TLS1_3_VERSION, ASK, true, false};
    size_t wrong = 0;

    if (argc > 2) {
        step = strtoul(argv[1], NULL, 10);
        first = strtoul(argv[2], NULL, 10);
    }
    only = argc > 3 ? argv[3] : NULL;
    must(argc > 2 && step > 0 && first > 0, "run without STEP and FIRST");
    must(allocator_init() && ccert_init(), "start");
    credentials_init();
    (void)printf("%-58s %6s", "", "number");
    for (int i = 0; i < OUTCOMES; i++)
        (void)printf(" %9s", names[i]);
    (void)printf("  leak\n");
    try_both("attach", attempt_attach, any);
    try_both("renew", attempt_renew, any);
    try_both("detach", attempt_detach, any);
    try_both("CA names", attempt_ca_names, any);
    try_both("verify", attempt_verify, any);
    try_both("verify", attempt_verify, (variety){TLS1_3_VERSION, ASK, false, false});
    try_version(TLS1_2_VERSION);
    try_version(TLS1_3_VERSION);
    credentials_free();
    print_row("all", &sum);
    for (int i = WORST_ALLOWED + 1; i < OUTCOMES; i++)
        wrong += sum.counts[i];
    return wrong + sum.leaks > 0;
}
