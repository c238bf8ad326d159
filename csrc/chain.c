/* chain - verify a client's chain without a connection, as a TLS server would.
 *
 * The X509_STORE_CTX is set up as libssl's ssl_verify_cert_chain() does for a server, and the
 * function that is called then is the one that SSL_CTX_set_cert_verify_callback() registers.  A
 * verifier may be used by many threads at once; it is only read, once its anchors are loaded.
 */
#include "internal.h"

#include <stdlib.h>
#include <time.h>

#include <openssl/err.h>

struct ccert_verifier {
    X509_STORE *store;
    ccert_context context;
    ccert_policy policy;
    int depth, auth_level;
};

X509 *ccert_certificate_new(const unsigned char *der, size_t size)
{
    const unsigned char *at = der;
    X509 *certificate;

    if (size > INT32_MAX)
        return NULL;
    certificate = d2i_X509(NULL, &at, (long)size);
    if (certificate != NULL && at != der + size) { /* as libssl: nothing may follow */
        X509_free(certificate);
        certificate = NULL;
    }
    return certificate;
}

void ccert_certificate_free(X509 *certificate)
{
    X509_free(certificate);
}

ccert_verifier *ccert_verifier_new(const ccert_settings *settings, int auth_level)
{
    ccert_verifier *verifier = calloc(1, sizeof(*verifier));

    if (verifier == NULL)
        return NULL;
    verifier->store = X509_STORE_new();
    if (verifier->store == NULL) {
        free(verifier);
        return NULL;
    }
    verifier->policy.trust_server_ccerts = settings->trust_server_ccerts != 0;
    verifier->depth = settings->verify_depth + 1; /* as policy.c */
    verifier->auth_level = auth_level;
    atomic_init(&verifier->context.policy, &verifier->policy);
    return verifier;
}

void ccert_verifier_free(ccert_verifier *verifier)
{
    if (verifier == NULL)
        return;
    X509_STORE_free(verifier->store);
    free(verifier);
}

int ccert_verifier_load(ccert_verifier *verifier, const char *cafile, const char *capath)
{
    return X509_STORE_load_locations(verifier->store, cafile, capath);
}

int ccert_verifier_trust(ccert_verifier *verifier, X509 *anchor)
{
    return X509_STORE_add_cert(verifier->store, anchor); /* takes a reference */
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
    if (!X509_STORE_CTX_set_default(sc, "ssl_client"))
        return 0;
    X509_VERIFY_PARAM_set_depth(param, verifier->depth);
    X509_VERIFY_PARAM_set_time(param, (time_t)at);
    return 1;
}

static int judge(X509_STORE_CTX *sc, ccert_verifier *verifier, X509 *leaf, ccert_verdict *verdict)
{
    bool trusted = ccert_verify_callback(sc, &verifier->context) > 0;
    bool as_server =
        trusted && verifier->policy.trust_server_ccerts && ccert_lists_server_only(leaf);

    return ccert_verdict_tell(leaf, X509_STORE_CTX_get_error(sc),
                              X509_STORE_CTX_get_error_depth(sc), as_server, verdict);
}

int ccert_verifier_verify(ccert_verifier *verifier, X509 *const *chain, int count, int64_t at,
                          ccert_verdict *verdict)
{
    STACK_OF(X509) *sent = borrow(chain, count);
    X509_STORE_CTX *sc = X509_STORE_CTX_new();
    int ok = count > 0 && sent != NULL && sc != NULL
             && X509_STORE_CTX_init(sc, verifier->store, chain[0], sent)
             && set_up(sc, verifier, at);

    (void)ERR_set_mark(); /* an untrusted chain's reasons are of no use; see also verify.c */
    if (ok)
        ok = judge(sc, verifier, chain[0], verdict);
    (void)ERR_pop_to_mark();
    X509_STORE_CTX_free(sc);
    sk_X509_free(sent);
    return ok;
}
