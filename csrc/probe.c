/* probe - find the SSL_CTX behind a Python context, without knowing the layout of Python's objects.
 *
 * The Python side makes a TLS object from the context and drops it again.  OpenSSL then calls the
 * free_func of every ex_data index (connection.c registers ours) with the object's SSL, whose
 * app_data CPython has set to the object.  If no SSL shows up, Python's ssl module uses another
 * copy of OpenSSL.  Comparing versions would not prove it: two copies may have the same version.
 *
 * Each thread records the SSLs that it frees as plain values.  They need no cleanup and are never
 * dereferenced, so an exception from a signal handler may end the Python side between any two
 * steps.
 */
#include "internal.h"

#define NOTES 16

static _Thread_local struct {
    uintptr_t object;
    SSL_CTX *ctx; /* borrowed, perhaps freed; the caller's context keeps the right one alive */
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
