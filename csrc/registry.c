/* registry - find ccert's record of a connection by the address of the Python object of its SSL.
 *
 * CPython sets each SSL's app_data to its own object (SSL_get_app_data(3)), but there is no way
 * from the object to the SSL.  So the handshake, which knows the SSL, adds the pair here, and the
 * end of the SSL removes it: the object's destructor calls SSL_free() before the object's address
 * can be reused.
 *
 * This is a hash table without locks.  Slots are never freed, only emptied and reused, so walking a
 * bucket needs no protection; a bucket has as many slots as it held connections at one time.  The
 * caller of a lookup keeps the object alive, so its pair is not removed meanwhile.
 */
#include "internal.h"

#include <stdlib.h>

#define BUCKET_BITS 13

/* Never the address of an object: */
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

/* ccert_registry_add - 0: out of memory.  If an SSL outlives its object, and a new object has the
 * same address, the new object's connection replaces the old one. */
int ccert_registry_add(ccert_connection *connection)
{
    _Atomic(slot *) *bucket = bucket_of(connection->object);
    slot *at;

    if (connection->object <= BEING_FILLED) /* not CPython's: never looked up */
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
