/* credentials - a CA, an intermediate CA and two leaves: one that they issued, for servers only, as
 * public CAs do, and one that is its own issuer. */
#include "faults.h"

#include <time.h>

#include <openssl/x509v3.h>

static X509 *anchor;
static credentials trusted, untrusted;

static void extend(X509 *certificate, int nid, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

    must(extension != NULL && X509_add_ext(certificate, extension, -1), "extend a certificate");
    X509_EXTENSION_free(extension);
}

/* new_certificate - issuer: NULL: itself */
static X509 *new_certificate(const char *name, EVP_PKEY *key, const X509 *issuer, EVP_PKEY *by,
                             bool ca)
{
    static long serial;
    X509 *certificate = X509_new();
    X509_NAME *subject = X509_NAME_new();
    const X509_NAME *issuer_name = issuer == NULL ? subject : X509_get_subject_name(issuer);

    must(certificate != NULL && subject != NULL
             && X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name,
                                           -1, -1, 0)
             && X509_set_version(certificate, X509_VERSION_3)
             && ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial)
             && X509_set_subject_name(certificate, subject)
             && X509_set_issuer_name(certificate, issuer_name)
             && ASN1_TIME_adj(X509_getm_notBefore(certificate), time(NULL), -1, 0) != NULL
             && ASN1_TIME_adj(X509_getm_notAfter(certificate), time(NULL), 30, 0) != NULL
             && X509_set_pubkey(certificate, key),
         "fill in a certificate");
    if (ca) {
        extend(certificate, NID_basic_constraints, "critical,CA:TRUE");
        extend(certificate, NID_key_usage, "critical,keyCertSign,cRLSign");
    } else {
        extend(certificate, NID_key_usage, "critical,digitalSignature");
        extend(certificate, NID_ext_key_usage, "serverAuth");
        extend(certificate, NID_subject_alt_name, "DNS:mx.example,DNS:mx2.example");
    }
    must(X509_sign(certificate, by, EVP_sha256()) > 0, "sign a certificate");
    X509_NAME_free(subject);
    return certificate;
}

X509 *credentials_copy(X509 *certificate)
{
    unsigned char *der = NULL;
    const unsigned char *at;
    int size = i2d_X509(certificate, &der);
    X509 *copy;

    must(size > 0, "encode a certificate");
    at = der;
    copy = d2i_X509(NULL, &at, size);
    must(copy != NULL, "decode a certificate");
    OPENSSL_free(der);
    return copy;
}

void credentials_init(void)
{
    EVP_PKEY *root_key = EVP_EC_gen("P-256"), *ca_key = EVP_EC_gen("P-256");

    trusted.key = EVP_EC_gen("P-256");
    untrusted.key = EVP_EC_gen("P-256");
    must(root_key != NULL && ca_key != NULL && trusted.key != NULL && untrusted.key != NULL,
         "make keys");
    anchor = new_certificate("root", root_key, NULL, root_key, true);
    trusted.issuer = new_certificate("ca", ca_key, anchor, root_key, true);
    trusted.leaf = new_certificate("mx.example", trusted.key, trusted.issuer, ca_key, false);
    untrusted.leaf = new_certificate("mx.example", untrusted.key, NULL, untrusted.key, false);
    EVP_PKEY_free(root_key);
    EVP_PKEY_free(ca_key);
}

X509 *credentials_anchor(void)
{
    return anchor;
}

const credentials *credentials_of(bool is_trusted)
{
    return is_trusted ? &trusted : &untrusted;
}

void credentials_free(void)
{
    X509_free(anchor);
    X509_free(trusted.leaf);
    X509_free(trusted.issuer);
    EVP_PKEY_free(trusted.key);
    X509_free(untrusted.leaf);
    EVP_PKEY_free(untrusted.key);
}
