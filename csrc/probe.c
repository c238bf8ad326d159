/* probe - find the SSL that Python's ssl module makes, without knowing how its objects look.
 *
 * OpenSSL calls the new_func of every ex_data index with each new SSL (connection.c registers
 * ours), so between begin and end the first SSL made by this thread is Python's.  If none shows
 * up, Python's ssl uses another copy of OpenSSL: the only proof that counts, because two copies
 * may well be of one version.
 */
#include "internal.h"

static _Thread_local ccert_probe *current; /* borrowed from the caller of begin */

void ccert_probe_begin(ccert_probe *probe)
{
    probe->ssl = NULL;
    probe->outer = current;
    current = probe;
}

/* The probe ends with the first SSL: the handshake that follows may run other Python code in this
 * thread (an sni_callback, another greenlet), which makes SSLs of its own. */
void ccert_probe_notice(SSL *ssl)
{
    ccert_probe *probe = current;

    if (probe == NULL)
        return;
    probe->ssl = ssl;
    current = probe->outer;
}

void ccert_probe_end(ccert_probe *probe)
{
    if (current == probe)
        current = probe->outer;
}

SSL_CTX *ccert_probe_get0_ctx(const ccert_probe *probe)
{
    return probe->ssl == NULL ? NULL : SSL_get_SSL_CTX(probe->ssl);
}
