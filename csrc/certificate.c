/* certificate - what one certificate says, whether or not it came by a handshake. */
#include "internal.h"

#include <time.h>

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

unsigned long ccert_certificate_subject_hash(X509 *certificate)
{
    unsigned long hash;

    (void)ERR_set_mark();
    hash = X509_subject_name_hash(certificate);
    (void)ERR_pop_to_mark();
    return hash;
}

/* ccert_expiry - the certificate's notAfter as a time_t; 0 if it cannot be read.  Not timegm() nor
 * ASN1_TIME_diff(), which asks for the time of day: libc takes a lock for both. */
int64_t ccert_expiry(const X509 *certificate)
{
    const struct tm epoch = {.tm_mday = 1, .tm_year = 70};
    struct tm end;
    int days, seconds;

    if (!ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &end)
        || !OPENSSL_gmtime_diff(&days, &seconds, &epoch, &end))
        return 0;
    return (int64_t)days * 86400 + seconds;
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
