/* template - self-signed; of all kinds of keys, Ed25519 is decoded fastest. */
#include "template.h"

#include <time.h>

#include <openssl/evp.h>

X509 *new_template(void)
{
    static const unsigned char name[] = "mx.example";
    X509 *made = X509_new();
    X509_NAME *subject = X509_NAME_new();
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");

    if (made == NULL || subject == NULL || key == NULL
        || !X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_ASC, name, -1, -1, 0)
        || !X509_set_version(made, X509_VERSION_3)
        || !ASN1_INTEGER_set(X509_get_serialNumber(made), 1)
        || !X509_set_subject_name(made, subject) || !X509_set_issuer_name(made, subject)
        || ASN1_TIME_adj(X509_getm_notBefore(made), time(NULL), -1, 0) == NULL
        || ASN1_TIME_adj(X509_getm_notAfter(made), time(NULL), 1, 0) == NULL
        || !X509_set_pubkey(made, key) || X509_sign(made, key, NULL) <= 0) {
        X509_free(made);
        made = NULL;
    }
    EVP_PKEY_free(key);
    X509_NAME_free(subject);
    return made;
}
