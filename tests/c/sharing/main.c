/* sharing - many threads share SSL_CTXs: they shake hands, ask for peers and close connections,
 * their own and each other's, while they attach ccert, detach it, and load CAs.
 *
 * Usage: sharing ROUNDS THREADS.  The calls that Python makes under a lock are made under a lock
 * here.  A peer is asked for under a lock for readers, as Python keeps its object alive meanwhile;
 * who closes the connection is the writer.  The rest is for ccert and OpenSSL to order, and for
 * ThreadSanitizer and AddressSanitizer to tell.
 *
 * The last line says what was seen; exits with 1 if a verdict was wrong, 2 if the test itself
 * failed.
 */
#define _POSIX_C_SOURCE 200809L /* pthread_rwlock_t */
#include "sharing.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include <openssl/err.h>

#define THREADS 64 /* at most */
#define SLOTS 24

typedef struct {
    pthread_t thread;
    size_t rounds;
    record record;
} worker;

/* A connection that all threads may ask about, or end. */
typedef struct {
    pthread_rwlock_t lock;
    connection *held; /* owned; NULL: none */
} slot;

static slot slots[SLOTS];
static pthread_mutex_t attaching = PTHREAD_MUTEX_INITIALIZER; /* as attachment.py's */

void must(bool ok, const char *what)
{
    if (ok)
        return;
    (void)fprintf(stderr, "sharing: cannot %s\n", what);
    ERR_print_errors_fp(stderr);
    exit(2);
}

/* below - xorshift */
uint32_t below(record *r, uint32_t limit)
{
    r->random ^= r->random << 13;
    r->random ^= r->random >> 17;
    r->random ^= r->random << 5;
    return r->random % limit;
}

/* keep - in place of another connection, which ends */
static void keep(connection *c, slot *at)
{
    connection *old;

    (void)pthread_rwlock_wrlock(&at->lock);
    old = at->held;
    at->held = c;
    (void)pthread_rwlock_unlock(&at->lock);
    connection_free(old);
}

static void ask(record *r, slot *at)
{
    (void)pthread_rwlock_rdlock(&at->lock);
    if (at->held != NULL)
        connection_ask(r, at->held);
    (void)pthread_rwlock_unlock(&at->lock);
}

static void change(record *r)
{
    const enum which which = (enum which)below(r, CONTEXTS);

    (void)pthread_mutex_lock(&attaching);
    switch (below(r, 4)) {
    case 0:
        if (which != STEADY)
            must(ccert_policy_remove(servers[which]), "detach");
        break;
    case 1:
        must(ccert_policy_renew(servers[which]), "renew");
        break;
    case 2:
        send_another_name(which);
        break;
    default:
        attach(r, which);
    }
    (void)pthread_mutex_unlock(&attaching);
    r->changes++;
}

static void *work(void *arg)
{
    worker *w = arg;
    record *r = &w->record;

    for (size_t i = 0; i < w->rounds; i++) {
        slot *at = &slots[below(r, SLOTS)];

        switch (below(r, 8)) {
        case 0:
        case 1:
            change(r);
            break;
        case 2:
            ask(r, at);
            break;
        default:
            keep(connection_make(r), at);
        }
    }
    return NULL;
}

static void add(record *total, const record *one)
{
    total->finished += one->finished;
    total->failed += one->failed;
    total->resumed += one->resumed;
    total->told += one->told;
    total->changes += one->changes;
    total->faults += one->faults;
}

int main(int argc, char **argv)
{
    static worker workers[THREADS];
    size_t rounds = argc == 3 ? strtoul(argv[1], NULL, 10) : 0;
    size_t threads = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
    record total = {0};

    must(rounds > 0 && threads > 0 && threads <= THREADS, "run without ROUNDS and THREADS");
    must(ccert_init(), "start ccert");
    contexts_init();
    for (size_t i = 0; i < SLOTS; i++)
        must(pthread_rwlock_init(&slots[i].lock, NULL) == 0, "make a lock");
    for (size_t i = 0; i < threads; i++) {
        workers[i] = (worker){.rounds = rounds, .record.random = (uint32_t)i + 1};
        must(pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0, "start");
    }
    for (size_t i = 0; i < threads; i++) {
        must(pthread_join(workers[i].thread, NULL) == 0, "join");
        add(&total, &workers[i].record);
    }
    for (size_t i = 0; i < SLOTS; i++)
        keep(NULL, &slots[i]);
    connections_clean_up();
    contexts_free();
    (void)printf(
        "sharing: %zu finished, %zu failed, %zu resumed, %zu told, %zu changes, %zu faults\n",
        total.finished, total.failed, total.resumed, total.told, total.changes, total.faults);
    return total.faults > 0;
}
