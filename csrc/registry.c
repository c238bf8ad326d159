/* registry - find ccert's record of a connection by the address of Python's object around its SSL.
 *
 * CPython points each SSL's app_data at its own object (SSL_get_app_data(3)), but nothing leads
 * back.  So the handshake, which knows the SSL, enters the pair here, and the SSL's end removes
 * it: SSL_free() is called by the object's destructor, before its address can be used again.
 *
 * A hash table without locks.  Slots are never freed, only emptied and filled again, so a walk
 * along a bucket needs no protection; there are as many as there were connections at one time.
 * Whoever looks for an object keeps it alive, so that nobody removes its pair meanwhile.
 */
#include "internal.h"

#include <stdlib.h>

#define BUCKET_BITS 13

/* No object's address: */
#define EMPTY ((uintptr_t)0)
#define BEING_FILLED ((uintptr_t)1)

typedef struct slot {
    atomic_uintptr_t object;
    _Atomic(ccert_connection *) connection; /* borrowed from its SSL */
    struct slot *next;
} slot;

static _Atomic(slot *) buckets[1 << BUCKET_BITS];

/* bucket_of - Fibonacci hashing; objects' addresses are multiples of 16 */
static _Atomic(slot *) *bucket_of(uintptr_t object)
{
    return &buckets[(uint64_t)object * UINT64_C(0x9E3779B97F4A7C15) >> (64 - BUCKET_BITS)];
}

static slot *find(uintptr_t object)
{
    slot *at = object <= BEING_FILLED ? NULL : atomic_load(bucket_of(object));

    while (at != NULL && atomic_load(&at->object) != object)
        at = at->next;
    return at;
}

static void fill(slot *at, ccert_connection *connection)
{
    atomic_store(&at->connection, connection);
    atomic_store(&at->object, connection->object);
}

/* ccert_registry_add - 0: out of memory.  Should an SSL outlive its object, and a new object have
 * the old one's address, the new one's connection counts. */
int ccert_registry_add(ccert_connection *connection)
{
    _Atomic(slot *) *bucket = bucket_of(connection->object);
    slot *at;

    if (connection->object <= BEING_FILLED) /* not CPython's: nobody will ask */
        return 1;
    at = find(connection->object);
    if (at != NULL) {
        atomic_store(&at->connection, connection);
        return 1;
    }
    for (at = atomic_load(bucket); at != NULL; at = at->next) {
        uintptr_t empty = EMPTY;

        if (atomic_compare_exchange_strong(&at->object, &empty, BEING_FILLED)) {
            fill(at, connection);
            return 1;
        }
    }
    at = calloc(1, sizeof(*at));
    if (at == NULL)
        return 0;
    fill(at, connection);
    at->next = atomic_load(bucket);
    while (!atomic_compare_exchange_weak(bucket, &at->next, at))
        ;
    return 1;
}

void ccert_registry_remove(const ccert_connection *connection)
{
    slot *at = find(connection->object);

    if (at != NULL && atomic_load(&at->connection) == connection)
        atomic_store(&at->object, EMPTY);
}

/* ccert_registry_get0 - NULL: none */
ccert_connection *ccert_registry_get0(uintptr_t object)
{
    slot *at = find(object);

    return at == NULL ? NULL : atomic_load(&at->connection);
}
