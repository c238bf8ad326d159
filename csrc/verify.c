/* verify - decide whether a TLS client's certificate is trusted.
 *
 * Runs inside the handshake, without the GIL: no Python, no lock, no work beyond OpenSSL's own
 * verification.  trust_server_ccerts is Viktor Dukhovni's callback for Postfix 3.12
 * (tls_trust_server_ccerts, tls@ mailing list, 23 March 2026) with the differences noted in its
 * comments.  ccert_verify_callback adds an error-queue mark, the "ask" mode and counters.
 */
#include "internal.h"

#include <time.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#define LARGE_CHAIN 10   /* certificates */
#define LARGE_SIZE 16384 /* octets of DER */

/* ccert_lists_server_only - does the EKU list serverAuth and not clientAuth?
 *
 * Postfix decodes the extension with X509_get_ext_d2i() and walks its OIDs.  OpenSSL has already
 * done that when it cached the certificate's extensions, so this call allocates nothing and leaves
 * nothing on the error queue.  If there is no EKU, all bits are set.  If there are two, or if it
 * cannot be decoded, no bits are set.  So neither case needs special code.  One case differs from
 * Postfix: if another extension is malformed, no bits are set either, but Postfix would still read
 * the EKU.  OpenSSL rejects such a certificate for either purpose, unless the application sets
 * X509_V_FLAG_PARTIAL_CHAIN without X509_V_FLAG_X509_STRICT.
 */
bool ccert_lists_server_only(X509 *leaf)
{
    uint32_t usages = X509_get_extended_key_usage(leaf);

    return (usages & (XKU_SSL_SERVER | XKU_SSL_CLIENT)) == XKU_SSL_SERVER;
}

static int refuse(X509_STORE_CTX *sc)
{
    X509_STORE_CTX_set_error(sc, X509_V_ERR_UNSPECIFIED);
    return 0;
}

/* trust_server_ccerts - verify a chain as a server's if its leaf is for servers only
 *
 * The leaf alone decides, before verification; there is no second attempt.  Purpose and trust are
 * set together: otherwise a root that is trusted for servers only (x509(1), TRUSTED CERTIFICATE)
 * would still be rejected.  Unlike Postfix's callback, it checks that both were set, and fails
 * closed.
 */
static int trust_server_ccerts(X509_STORE_CTX *sc, bool *swapped)
{
    X509 *leaf = X509_STORE_CTX_get0_cert(sc); /* borrowed; NULL: a raw public key */
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(sc);

    if (leaf != NULL && ccert_lists_server_only(leaf)) {
        if (!X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_SERVER)
            || !X509_VERIFY_PARAM_set_trust(param, X509_TRUST_SSL_SERVER))
            return refuse(sc);
        *swapped = true;
    }
    return X509_verify_cert(sc);
}

/* ccert_verify - as X509_verify_cert(), under this setting */
int ccert_verify(X509_STORE_CTX *sc, bool setting, bool *swapped)
{
    return setting ? trust_server_ccerts(sc, swapped) : X509_verify_cert(sc);
}

/* crls_expiry - until when is there a CRL of this issuer?  The newest counts that is valid already.
 */
static int64_t crls_expiry(const X509_STORE_CTX *sc, const X509_NAME *issuer)
{
    STACK_OF(X509_CRL) *crls = X509_STORE_CTX_get1_crls(sc, issuer);
    int64_t last = 0, now = (int64_t)time(NULL);

    for (int i = 0; i < sk_X509_CRL_num(crls); i++) {
        const X509_CRL *crl = sk_X509_CRL_value(crls, i);      /* borrowed */
        const ASN1_TIME *next = X509_CRL_get0_nextUpdate(crl); /* borrowed; NULL: no end */
        int64_t end = next == NULL ? INT64_MAX : ccert_time(next);

        if (ccert_time(X509_CRL_get0_lastUpdate(crl)) <= now && end > last)
            last = end;
    }
    sk_X509_CRL_pop_free(crls, X509_CRL_free);
    return last;
}

/* chain_expiry - when the first certificate of the chain that X509_verify_cert built expires or, if
 * CRLs are checked, the first of them */
static int64_t chain_expiry(X509_STORE_CTX *sc)
{
    const STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(sc); /* borrowed */
    unsigned long flags = X509_VERIFY_PARAM_get_flags(X509_STORE_CTX_get0_param(sc));
    int64_t first = INT64_MAX;

    for (int i = 0; i < sk_X509_num(chain); i++) {
        const X509 *certificate = sk_X509_value(chain, i); /* borrowed */
        int64_t expiry = ccert_expiry(certificate), crls = INT64_MAX;

        if ((flags & (i == 0 ? X509_V_FLAG_CRL_CHECK : X509_V_FLAG_CRL_CHECK_ALL)) != 0)
            crls = crls_expiry(sc, X509_get_issuer_name(certificate));
        if (crls < expiry)
            expiry = crls;
        if (expiry < first)
            first = expiry;
    }
    return first;
}

/* is_small - can many such chains be kept in memory?  Decoded, they are much larger. */
static bool is_small(X509_STORE_CTX *sc)
{
    const STACK_OF(X509) *sent = X509_STORE_CTX_get0_untrusted(sc); /* borrowed */
    int size = 0;

    if (sk_X509_num(sent) > LARGE_CHAIN)
        return false;
    for (int i = 0; i < sk_X509_num(sent); i++) {
        int one = i2d_X509(sk_X509_value(sent, i), NULL);

        if (one < 0 || one > LARGE_SIZE - size)
            return false;
        size += one;
    }
    return true;
}

/* record_issuer - the issuer of the certificate that failed, as X509_NAME_oneline() prints it */
static void record_issuer(X509_STORE_CTX *sc, bool trusted, ccert_connection *connection)
{
    X509 *at_fault = X509_STORE_CTX_get_current_cert(sc); /* borrowed */
    char issuer[256];

    OPENSSL_free(connection->error_issuer);
    connection->error_issuer = NULL;
    if (!trusted && at_fault != NULL
        && X509_NAME_oneline(X509_get_issuer_name(at_fault), issuer, sizeof(issuer)) != NULL)
        connection->error_issuer = OPENSSL_strdup(issuer);
}

/* record - store what peer.c reports and session.c needs; 0: failed, so refuse the certificate
 *
 * Without a policy (ccert was detached), there is nothing to record, unless a policy still answered
 * the ClientHello.  Then the connection leaves no session. */
static int record(X509_STORE_CTX *sc, SSL *ssl, const ccert_policy *policy, bool trusted,
                  bool swapped)
{
    ccert_connection *connection = ccert_connection_peek(ssl); /* borrowed */

    if (connection == NULL && policy == NULL)
        return 1;
    if (connection == NULL && (connection = ccert_connection_get0(ssl)) == NULL)
        return 0;
    if (policy != NULL) { /* after an sni_callback, perhaps not the one that answered */
        connection->trust_server_ccerts = policy->trust_server_ccerts;
        connection->observe = policy->observe;
    }
    connection->verified = true;
    connection->swapped = swapped;
    connection->error_depth = X509_STORE_CTX_get_error_depth(sc);
    record_issuer(sc, trusted, connection);
    connection->expiry = chain_expiry(sc);
    return ccert_session_limit(ssl, connection, trusted && is_small(sc));
}

/* may_go_on - may the handshake continue with an untrusted certificate?  Only with "ask", only if
 * no stricter verify mode applies, and only if getpeercert() of Python's object does not return it
 *
 * The connection copied its verify mode from the SSL_CTX that it was made from, which an
 * sni_callback may have replaced. */
static bool may_go_on(SSL *ssl, const ccert_policy *policy)
{
    return policy != NULL && policy->ask && ssl != NULL && ccert_session_is_guarded(ssl)
           && SSL_get_verify_mode(ssl) == SSL_VERIFY_PEER
           && SSL_CTX_get_verify_mode(SSL_get_SSL_CTX(ssl)) == SSL_VERIFY_PEER;
}

static void count(ccert_context *context, bool trusted, bool swapped)
{
    atomic_fetch_add_explicit(&context->verified, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(trusted ? &context->trusted : &context->untrusted, 1,
                              memory_order_relaxed);
    if (trusted && swapped)
        atomic_fetch_add_explicit(&context->trusted_as_server, 1, memory_order_relaxed);
}

/* What becomes of the handshake:
 *
 *   TRUSTED   the certificate has passed verification: it goes on
 *   FORGIVEN  it has failed, but "ask" applies, and memory sufficed: it goes on, Untrusted
 *   REFUSED   anything else: it ends */
typedef enum { REFUSED, FORGIVEN, TRUSTED } outcome;

/* verify - "ask" forgives a client its certificate, but not us that memory ran out while we
 * verified it: a client that is Untrusted may be turned away for good, but one whose handshake
 * fails tries again. */
static outcome verify(X509_STORE_CTX *sc, SSL *ssl, const ccert_policy *policy, bool *swapped)
{
    const ccert_watch watch = ccert_memory_watch();
    const bool setting = policy != NULL && policy->trust_server_ccerts;

    if (ccert_verify(sc, setting, swapped) > 0)
        return TRUSTED;
    if (X509_STORE_CTX_get_error(sc) == X509_V_OK)
        (void)refuse(sc);
    if (!may_go_on(ssl, policy))
        return REFUSED;
    if (ccert_memory_failed(&watch, sc, setting)) {
        X509_STORE_CTX_set_error(sc, X509_V_ERR_OUT_OF_MEM);
        return REFUSED;
    }
    return FORGIVEN;
}

/* ccert_verify_callback - the callback for SSL_CTX_set_cert_verify_callback()
 *
 * A certificate with a malformed extension leaves entries on the thread's error queue.  If the
 * handshake goes on, the next SSL_read() of any connection on this thread would take them for its
 * own failure, so everything runs under a mark.  (With an empty queue there is nothing to mark, and
 * popping to the mark empties the queue, as intended.  So neither return value needs checking.)
 *
 * If the handshake goes on with "ask", the error stays in the X509_STORE_CTX, and libssl copies it
 * into the verify_result of the connection and of the session.
 */
int ccert_verify_callback(X509_STORE_CTX *sc, void *arg)
{
    ccert_context *context = arg; /* NULL only if ccert is attached during a handshake */
    SSL *ssl = X509_STORE_CTX_get_ex_data(sc, SSL_get_ex_data_X509_STORE_CTX_idx());
    const ccert_policy *policy;
    bool swapped = false;
    outcome found;

    if (context == NULL || (ssl != NULL && !SSL_is_server(ssl)))
        return refuse(sc);

    (void)ERR_set_mark();
    policy = ccert_policy_enter(context);
    found = verify(sc, ssl, policy, &swapped);
    if (ssl != NULL && !record(sc, ssl, policy, found == TRUSTED, swapped)) {
        found = REFUSED;
        (void)refuse(sc);
    }
    if (policy != NULL) /* else OpenSSL decided alone */
        count(context, found == TRUSTED, swapped);
    ccert_policy_leave(context);

    if (found == REFUSED) {
        (void)ERR_clear_last_mark();
        return 0;
    }
    (void)ERR_pop_to_mark();
    return 1;
}
