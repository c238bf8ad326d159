/* policy - the setting of an SSL_CTX may be exchanged while other threads read it.
 *
 * Usage: policy ROUNDS THREADS.  The threads do what a handshake does with the setting,
 * ccert_policy_enter() and _leave(), again and again; meanwhile the main thread installs one of two
 * settings in turn, removes it now and then, and at last frees the SSL_CTX.  Each reader must find
 * one of the two settings whole, or none, and never an older one after a newer one.  Whether a
 * policy is freed too early or never is for ThreadSanitizer, AddressSanitizer and valgrind to tell.
 *
 * The last line says what was seen; exits with 1 if something was wrong, 2 if the test itself
 * failed.
 */
#include "internal.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

#define THREADS 16     /* at most */
#define REMOVE_EVERY 4 /* rounds */
#define REMEMBERED 8

typedef struct {
    pthread_t thread;
    ccert_context *context;                                   /* borrowed */
    unsigned char instances[REMEMBERED][CCERT_INSTANCE_SIZE]; /* the last ones seen, one a slot */
    size_t newest;
    size_t seen, detached, faults;
} reader;

static const ccert_settings settings[] = {
    {.trust_server_ccerts = 0, .ask = 1, .verify_depth = 9},
    {.trust_server_ccerts = 1, .ask = 0, .verify_depth = 9},
};

static atomic_bool stop;
static atomic_size_t glances; /* of all readers: the main thread waits for some between rounds */

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    (void)fprintf(stderr, "policy: cannot %s\n", what);
    ERR_print_errors_fp(stderr);
    exit(2);
}

/* -- readers -- */

static bool is_same(const ccert_policy *policy, const reader *r, size_t i)
{
    return memcmp(policy->instance, r->instances[i % REMEMBERED], CCERT_INSTANCE_SIZE) == 0;
}

/* is_whole - and no older one comes again after a newer one */
static bool is_whole(reader *r, const ccert_policy *policy)
{
    bool whole = policy->ask != policy->trust_server_ccerts;

    if (is_same(policy, r, r->newest))
        return whole;
    for (size_t i = 1; i < REMEMBERED; i++)
        if (is_same(policy, r, r->newest + i))
            return false;
    memcpy(r->instances[++r->newest % REMEMBERED], policy->instance, CCERT_INSTANCE_SIZE);
    return whole;
}

static void *read_policies(void *arg)
{
    reader *r = arg;

    for (size_t turn = 0; !atomic_load(&stop); turn++) {
        const ccert_policy *policy = ccert_policy_enter(r->context);

        if (policy == NULL) {
            r->detached++;
        } else {
            if (turn % 8 == 0)
                (void)sched_yield(); /* let the main thread replace what we hold */
            r->faults += !is_whole(r, policy);
            r->seen++;
        }
        ccert_policy_leave(r->context);
        atomic_fetch_add(&glances, 1);
        if (policy == NULL || turn % 16 == 0)
            (void)sched_yield(); /* let the main thread free what nobody holds */
    }
    return NULL;
}

/* -- the main thread -- */

/* wait_for_readers - until the setting has been found: they need not be scheduled otherwise
 *
 * Each thread may be about to leave with an older one, once. */
static void wait_for_readers(size_t threads)
{
    size_t until = atomic_load(&glances) + threads + 1;

    while (atomic_load(&glances) < until)
        (void)sched_yield();
}

static void exchange(SSL_CTX *ctx, size_t rounds, size_t threads)
{
    for (size_t i = 0; i < rounds; i++) {
        must(ccert_policy_install(ctx, &settings[i % 2]), "install");
        if (i % 2 == 0)
            wait_for_readers(threads);
        if (i % REMOVE_EVERY != REMOVE_EVERY - 1)
            continue;
        must(ccert_policy_remove(ctx), "remove");
        wait_for_readers(threads);
    }
}

/* settle - nobody reads any longer, so that an exchange leaves nothing to be freed later */
static size_t settle(SSL_CTX *ctx, const ccert_context *context)
{
    must(ccert_policy_install(ctx, &settings[0]), "install");
    return atomic_load(&context->readers) != 0 || context->retired != NULL;
}

static void run(size_t rounds, size_t threads, bool remove, reader *total)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    reader readers[THREADS] = {0};
    ccert_context *context;

    must(ctx != NULL && ccert_policy_install(ctx, &settings[0]), "install");
    context = ccert_context_get0(ctx);
    atomic_store(&stop, false);
    for (size_t i = 0; i < threads; i++) {
        readers[i].context = context;
        must(pthread_create(&readers[i].thread, NULL, read_policies, &readers[i]) == 0, "start");
    }
    exchange(ctx, rounds, threads);
    atomic_store(&stop, true);
    for (size_t i = 0; i < threads; i++) {
        must(pthread_join(readers[i].thread, NULL) == 0, "join");
        total->seen += readers[i].seen;
        total->detached += readers[i].detached;
        total->faults += readers[i].faults;
    }
    total->faults += settle(ctx, context);
    if (remove)
        must(ccert_policy_remove(ctx) && ccert_policy_remove(ctx), "remove, and remove nothing");
    SSL_CTX_free(ctx);
}

int main(int argc, char **argv)
{
    size_t rounds = argc == 3 ? strtoul(argv[1], NULL, 10) : 0;
    size_t threads = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
    reader total = {0};

    must(rounds > 0 && threads > 0 && threads <= THREADS, "run without ROUNDS and THREADS");
    must(ccert_init(), "start ccert");
    run(rounds, threads, true, &total);
    run(rounds, threads, false, &total); /* the SSL_CTX frees what is still installed */
    (void)printf("policy: %zu exchanges, %zu seen, %zu times none, %zu faults\n", 2 * rounds,
                 total.seen, total.detached, total.faults);
    return total.faults > 0;
}
