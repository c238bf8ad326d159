/* probe - find the SSL_CTX behind a Python context, without knowing how Python's objects look.
 *
 * Python makes a TLS object of the context and drops it again; OpenSSL calls the free_func of
 * every ex_data index with its SSL (connection.c registers ours), whose app_data CPython pointed
 * at that object.  If no SSL shows up, Python's ssl uses another copy of OpenSSL: the only proof
 * that counts, because two copies may well be of one version.
 *
 * Each thread notes the SSLs that it frees, as plain values: nothing here is armed, is owned by
 * anybody, or is ever dereferenced, so that an exception out of a signal handler may end the
 * Python side between any two steps.
 */
#include "internal.h"

#define NOTES 16

static _Thread_local struct {
    uintptr_t object;
    SSL_CTX *ctx; /* borrowed, and perhaps gone: the caller's context keeps the one it wants */
} notes[NOTES];
static _Thread_local uint64_t freed;

void ccert_probe_notice(const SSL *ssl)
{
    notes[freed % NOTES].object = (uintptr_t)SSL_get_app_data(ssl);
    notes[freed % NOTES].ctx = SSL_get_SSL_CTX(ssl);
    freed++;
}

uint64_t ccert_probe_count(void)
{
    return freed;
}

SSL_CTX *ccert_probe_get0_ctx(uint64_t since, uintptr_t object)
{
    if (freed - since > NOTES)
        return NULL;
    for (uint64_t i = since; i < freed; i++)
        if (notes[i % NOTES].object == object)
            return notes[i % NOTES].ctx;
    return NULL;
}
