/* certificate - one certificate that did not come by a handshake. */
#include "internal.h"

#include <openssl/err.h>
#include <openssl/sslerr.h>
#include <openssl/x509v3.h>

/* A CN is no host name (RFC 9525, 4.1), and name constraints do not bind all that could be one. */
#define FLAGS (X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT)

X509 *ccert_certificate_new(const unsigned char *der, size_t size)
{
    const unsigned char *at = der;
    X509 *certificate;

    if (size > INT32_MAX)
        return NULL;
    certificate = d2i_X509(NULL, &at, (long)size);
    if (certificate != NULL && at != der + size) { /* as libssl: nothing may follow */
        ERR_raise(ERR_LIB_SSL, SSL_R_CERT_LENGTH_MISMATCH);
        X509_free(certificate);
        certificate = NULL;
    }
    return certificate;
}

void ccert_certificate_free(X509 *certificate)
{
    X509_free(certificate);
}

int ccert_certificate_lists_server_only(X509 *certificate)
{
    bool lists;

    (void)ERR_set_mark();
    lists = ccert_lists_server_only(certificate);
    (void)ERR_pop_to_mark();
    return lists;
}

int64_t ccert_certificate_expiry(const X509 *certificate)
{
    int64_t expiry;

    (void)ERR_set_mark();
    expiry = ccert_expiry(certificate);
    (void)ERR_pop_to_mark();
    return expiry;
}

int ccert_certificate_matches(X509 *certificate, const char *name, size_t size)
{
    int result;

    (void)ERR_set_mark();
    result = X509_check_host(certificate, name, size, FLAGS, NULL);
    (void)ERR_pop_to_mark();
    return result == 1;
}
