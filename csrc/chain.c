/* chain - verify a client's chain without a connection, as a TLS server would.
 *
 * The X509_STORE_CTX is set up as libssl's ssl_verify_cert_chain() does for a server.  It is then
 * passed to the function that policy.c registers with SSL_CTX_set_cert_verify_callback().  Many
 * threads may use a verifier at once: after its anchors are loaded, it is read-only.
 */
#include "internal.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include <openssl/err.h>

struct ccert_verifier {
    X509_STORE *store;
    X509_VERIFY_PARAM *param; /* as an SSL's own */
    int auth_level;
};

static ccert_verifier *verifier_new(void)
{
    ccert_verifier *verifier = calloc(1, sizeof(*verifier));

    if (verifier == NULL)
        return NULL;
    verifier->param = X509_VERIFY_PARAM_new();
    if (verifier->param == NULL) {
        free(verifier);
        return NULL;
    }
    return verifier;
}

ccert_verifier *ccert_verifier_new(int verify_depth, int auth_level)
{
    ccert_verifier *verifier = verifier_new();

    if (verifier == NULL)
        return NULL;
    verifier->store = X509_STORE_new();
    verifier->auth_level = auth_level;
    X509_VERIFY_PARAM_set_depth(verifier->param, verify_depth + 1); /* as policy.c */
    if (verifier->store == NULL) {
        ccert_verifier_free(verifier);
        return NULL;
    }
    return verifier;
}

/* verify_store - the store that libssl verifies the peer with; the caller owns the reference */
static X509_STORE *verify_store(SSL *ssl)
{
    X509_STORE *store = NULL; /* borrowed */

    if (!SSL_get0_verify_cert_store(ssl, &store))
        return NULL;
    if (store == NULL)
        store = SSL_CTX_get_cert_store(SSL_get_SSL_CTX(ssl));
    return X509_STORE_up_ref(store) ? store : NULL;
}

/* ccert_verifier_of - shares the store and copies the rest, so it may outlive the connection */
ccert_verifier *ccert_verifier_of(uintptr_t object)
{
    const ccert_connection *connection = ccert_registry_get0(object); /* borrowed */
    ccert_verifier *verifier = connection == NULL ? NULL : verifier_new();
    unsigned long suite_b;
    SSL *ssl; /* borrowed */

    if (verifier == NULL)
        return NULL;
    ssl = connection->ssl;
    suite_b = (unsigned long)SSL_set_cert_flags(ssl, 0) & SSL_CERT_FLAG_SUITEB_128_LOS;
    verifier->auth_level = SSL_get_security_level(ssl);
    verifier->store = verify_store(ssl);
    if (verifier->store == NULL || !X509_VERIFY_PARAM_set1(verifier->param, SSL_get0_param(ssl))
        || !X509_VERIFY_PARAM_set_flags(verifier->param, suite_b)) {
        ccert_verifier_free(verifier);
        return NULL;
    }
    return verifier;
}

void ccert_verifier_free(ccert_verifier *verifier)
{
    if (verifier == NULL)
        return;
    X509_STORE_free(verifier->store);
    X509_VERIFY_PARAM_free(verifier->param);
    free(verifier);
}

int ccert_verifier_load(ccert_verifier *verifier, const char *cafile)
{
    ERR_clear_error();
    return X509_STORE_load_file(verifier->store, cafile)
           && ccert_memory_sufficed_for_all(verifier->store);
}

int ccert_verifier_trust(ccert_verifier *verifier, X509 *anchor)
{
    ERR_clear_error();
    return X509_STORE_add_cert(verifier->store, anchor) /* takes a reference */
           && ccert_memory_sufficed(anchor);
}

int ccert_verifier_anchors(ccert_verifier *verifier)
{
    STACK_OF(X509) *anchors = X509_STORE_get1_all_certs(verifier->store);
    int count = sk_X509_num(anchors);

    sk_X509_pop_free(anchors, X509_free);
    return count;
}

static STACK_OF(X509) * borrow(X509 *const *chain, int count)
{
    STACK_OF(X509) *sent = sk_X509_new_reserve(NULL, count);

    for (int i = 0; sent != NULL && i < count; i++)
        (void)sk_X509_push(sent, chain[i]); /* room is reserved */
    return sent;
}

static int set_up(X509_STORE_CTX *sc, const ccert_verifier *verifier, int64_t at)
{
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(sc); /* borrowed */

    X509_VERIFY_PARAM_set_auth_level(param, verifier->auth_level);
    if (!X509_STORE_CTX_set_default(sc, "ssl_client")
        || !X509_VERIFY_PARAM_set1(param, verifier->param))
        return 0;
    X509_VERIFY_PARAM_set_time(param, (time_t)at);
    return 1;
}

static int judge(X509_STORE_CTX *sc, bool trust_server_ccerts, X509 *leaf, ccert_verdict *verdict)
{
    ccert_policy policy = {.trust_server_ccerts = trust_server_ccerts};
    ccert_context context = {.policy = &policy}; /* for this verification only, counters too */
    const ccert_watch watch = ccert_memory_watch();
    bool trusted = ccert_verify_callback(sc, &context) > 0;
    bool as_server = trusted && trust_server_ccerts && ccert_lists_server_only(leaf);

    if (!trusted && ccert_memory_failed(&watch, sc, trust_server_ccerts))
        return 0;
    return ccert_verdict_tell(leaf, X509_STORE_CTX_get_error(sc),
                              X509_STORE_CTX_get_error_depth(sc), as_server, verdict);
}

int ccert_verifier_verify(const ccert_verifier *verifier, int trust_server_ccerts,
                          X509 *const *chain, int count, int64_t at, ccert_verdict *verdict)
{
    STACK_OF(X509) * sent;
    X509_STORE_CTX *sc;
    ccert_verdict found = {.names = NULL};
    int ok;

    ERR_clear_error(); /* as libssl does before a handshake: what is there is of no call of ours */
    errno = 0;
    sent = borrow(chain, count);
    sc = X509_STORE_CTX_new();
    ok = count > 0 && sent != NULL && sc != NULL
         && X509_STORE_CTX_init(sc, verifier->store, chain[0], sent) && set_up(sc, verifier, at);

    if (ok)
        ok = judge(sc, trust_server_ccerts != 0, chain[0], &found);
    if (ccert_queue_tells_of_memory(0)) { /* takes a malformed certificate's errors, too */
        ccert_verdict_clear(&found);
        ok = 0;
    }
    if (ok)
        *verdict = found; /* with what it owns */
    X509_STORE_CTX_free(sc);
    sk_X509_free(sent);
    return ok;
}

/* ccert_verifier_verify_many - chains: one after the other, of counts[i] certificates each. Returns
 * how many were verified, whose verdicts the caller has to clear; fewer than number: no memory. */
int ccert_verifier_verify_many(const ccert_verifier *verifier, int trust_server_ccerts,
                               X509 *const *chains, const int *counts, int number, int64_t at,
                               ccert_verdict *verdicts)
{
    int done = 0;

    while (done < number
           && ccert_verifier_verify(verifier, trust_server_ccerts, chains, counts[done], at,
                                    &verdicts[done]))
        chains += counts[done++];
    return done;
}
