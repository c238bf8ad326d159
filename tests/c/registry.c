/* registry - connections come and go in many threads, and each is found while it is there.
 *
 * Usage: registry ROUNDS THREADS.  Each thread has objects of its own, whose addresses share
 * buckets with other threads' and are used again and again.  It adds some, looks for them, removes
 * them and looks again; a main thread looks for all of them meanwhile, as peer() on another thread
 * would.  Order of memory and lifetime of slots are for ThreadSanitizer, AddressSanitizer and
 * valgrind to tell.
 *
 * The last line says what was seen; exits with 1 if something was wrong, 2 if the test itself
 * failed.
 */
#include "internal.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define THREADS 16
#define OBJECTS 64
#define STRIDE (UINT64_C(1) << 40) /* of objects' addresses, which are never followed */

typedef struct {
    pthread_t thread;
    size_t number, rounds;
    ccert_connection connections[OBJECTS];
    size_t found, missed, faults;
} worker;

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    (void)fprintf(stderr, "registry: cannot %s\n", what);
    exit(2);
}

static uintptr_t address(size_t thread, size_t object)
{
    return (uintptr_t)((object + 1) * STRIDE + (thread + 1) * 16);
}

static void expect(worker *w, size_t i, const ccert_connection *wanted)
{
    const ccert_connection *found = ccert_registry_get0(address(w->number, i));

    w->found += found != NULL;
    w->missed += found == NULL;
    w->faults += found != wanted;
}

static void *work(void *arg)
{
    worker *w = arg;

    for (size_t round = 0; round < w->rounds; round++) {
        size_t count = 1 + round % OBJECTS;

        for (size_t i = 0; i < count; i++) {
            w->connections[i].object = address(w->number, i);
            must(ccert_registry_add(&w->connections[i]), "add");
            expect(w, i, &w->connections[i]);
        }
        for (size_t i = 0; i < count; i++)
            expect(w, i, &w->connections[i]);
        for (size_t i = 0; i < count; i++) {
            ccert_registry_remove(&w->connections[i]);
            expect(w, i, NULL);
        }
    }
    return NULL;
}

/* replace - an SSL that outlives its object, whose address a new one has: the new one counts */
static size_t replace(void)
{
    ccert_connection old = {.object = address(THREADS, 0)}, new = old;
    size_t faults = 0;

    must(ccert_registry_add(&old) && ccert_registry_add(&new), "add");
    faults += ccert_registry_get0(old.object) != &new;
    ccert_registry_remove(&old);
    faults += ccert_registry_get0(old.object) != &new;
    ccert_registry_remove(&new);
    faults += ccert_registry_get0(old.object) != NULL;
    return faults;
}

/* nobody - addresses that no object has find nothing, nor do records without one */
static size_t nobody(void)
{
    ccert_connection none = {.object = 0};
    size_t faults = 0;

    must(ccert_registry_add(&none), "add");
    faults += ccert_registry_get0(0) != NULL || ccert_registry_get0(1) != NULL;
    ccert_registry_remove(&none);
    return faults;
}

int main(int argc, char **argv)
{
    static worker workers[THREADS];
    size_t rounds = argc == 3 ? strtoul(argv[1], NULL, 10) : 0;
    size_t threads = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
    size_t found = 0, missed = 0, faults = replace() + nobody();

    must(rounds > 0 && threads > 0 && threads <= THREADS, "run without ROUNDS and THREADS");
    for (size_t i = 0; i < threads; i++) {
        workers[i].number = i;
        workers[i].rounds = rounds;
        must(pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0, "start");
    }
    for (size_t i = 0; i < rounds; i++)
        (void)ccert_registry_get0(address(i % threads, i % OBJECTS));
    for (size_t i = 0; i < threads; i++) {
        must(pthread_join(workers[i].thread, NULL) == 0, "join");
        found += workers[i].found;
        missed += workers[i].missed;
        faults += workers[i].faults;
    }
    (void)printf("registry: %zu found, %zu missed, %zu faults\n", found, missed, faults);
    return faults > 0;
}
