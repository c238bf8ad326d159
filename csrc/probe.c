/* probe - find the SSL that Python's ssl module makes, without knowing how its objects look.
 *
 * OpenSSL calls the new_func of every ex_data index with each new SSL (connection.c registers
 * ours), so one of those made by this thread between begin and end is Python's.  Which one, its
 * app_data tells: CPython points it at its own object.  An application's class may make others on
 * the way, and so may other greenlets.  If none shows up, Python's ssl uses another copy of
 * OpenSSL: the only proof that counts, because two copies may well be of one version.
 */
#include "internal.h"

#define CANDIDATES (sizeof(((ccert_probe *)0)->candidates) / sizeof(SSL *))

static _Thread_local ccert_probe *probes; /* borrowed from the callers of begin */

void ccert_probe_begin(ccert_probe *probe)
{
    *probe = (ccert_probe){.outer = probes};
    probes = probe;
}

/* ccert_probe_end - greenlets end in any order */
void ccert_probe_end(ccert_probe *probe)
{
    for (ccert_probe **at = &probes; *at != NULL; at = &(*at)->outer)
        if (*at == probe) {
            *at = probe->outer;
            return;
        }
}

static void exchange(ccert_probe *probe, const SSL *old, SSL *new)
{
    for (size_t i = 0; i < CANDIDATES; i++)
        if (probe->candidates[i] == old) {
            probe->candidates[i] = new;
            return;
        }
}

void ccert_probe_notice(SSL *ssl)
{
    for (ccert_probe *probe = probes; probe != NULL; probe = probe->outer) {
        probe->seen = 1;
        exchange(probe, NULL, ssl);
    }
}

void ccert_probe_forget(const SSL *ssl)
{
    for (ccert_probe *probe = probes; probe != NULL; probe = probe->outer)
        exchange(probe, ssl, NULL);
}

SSL *ccert_probe_get0_ssl(const ccert_probe *probe, uintptr_t object)
{
    for (size_t i = 0; i < CANDIDATES; i++) {
        SSL *ssl = probe->candidates[i];

        if (ssl != NULL && (uintptr_t)SSL_get_app_data(ssl) == object)
            return ssl;
    }
    return NULL;
}

SSL_CTX *ccert_probe_get0_ctx(SSL *ssl)
{
    return SSL_get_SSL_CTX(ssl);
}
