/* ca_names - the names of CAs in the CertificateRequest, by which clients choose their certificate.
 *
 * libssl takes them from the SSL_CTX, and a list that is replaced there is freed at once, although
 * a handshake in another thread may be reading it.  So that list is set only before ccert is
 * attached for the first time.  Later ones belong to the ccert_context, are replaced and freed as
 * its policy is, and each connection gets a copy of its own when its ClientHello comes.
 */
#include "internal.h"

#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/sslerr.h>

#define MOST_NAMES 60000 /* octets; TLS allows 65535 for these and other extensions */

void ccert_ca_names_free(ccert_ca_names *names)
{
    while (names != NULL) {
        ccert_ca_names *retired = names->retired;

        sk_X509_NAME_pop_free(names->list, X509_NAME_free);
        free(names);
        names = retired;
    }
}

static STACK_OF(X509_NAME) * copy(const STACK_OF(X509_NAME) * list)
{
    return sk_X509_NAME_deep_copy(list, X509_NAME_dup, X509_NAME_free);
}

/* ccert_ca_names_send - to this client, those of the SSL_CTX that it has come to.  0: no memory */
int ccert_ca_names_send(SSL *ssl, ccert_context *context)
{
    STACK_OF(X509_NAME) *list = NULL; /* the SSL_CTX's own */
    const ccert_ca_names *names;
    int ok = 1;

    if (context != NULL) {
        (void)ccert_policy_enter(context);
        names = atomic_load(&context->ca_names);
        if (names != NULL)
            ok = (list = copy(names->list)) != NULL;
        ccert_policy_leave(context);
    }
    SSL_set_client_CA_list(ssl, list); /* takes ownership */
    return ok;
}

/* -- more names -- */

static int encoded_size(const STACK_OF(X509_NAME) * names)
{
    int size = 0;

    for (int i = 0; i < sk_X509_NAME_num(names); i++)
        size += i2d_X509_NAME(sk_X509_NAME_value(names, i), NULL) + 2;
    return size;
}

/* names_of - a copy of the names that the CertificateRequest lists already; NULL: no memory */
static STACK_OF(X509_NAME) * names_of(const SSL_CTX *ctx, const ccert_context *context)
{
    const ccert_ca_names *later = context == NULL ? NULL : atomic_load(&context->ca_names);
    const STACK_OF(X509_NAME) *names =
        later == NULL ? SSL_CTX_get_client_CA_list(ctx) : later->list; /* borrowed */

    return names == NULL ? sk_X509_NAME_new_null() : copy(names);
}

/* add - 0: no memory */
static int add(STACK_OF(X509_NAME) * names, const X509_NAME *subject)
{
    X509_NAME *name;

    for (int i = 0; i < sk_X509_NAME_num(names); i++)
        if (X509_NAME_cmp(subject, sk_X509_NAME_value(names, i)) == 0)
            return 1;
    name = X509_NAME_dup(subject);
    if (name != NULL && sk_X509_NAME_push(names, name) > 0)
        return 1;
    X509_NAME_free(name);
    return 0;
}

/* use - takes ownership of the list, if it succeeds */
static int use(SSL_CTX *ctx, ccert_context *context, STACK_OF(X509_NAME) * list)
{
    ccert_ca_names *names;

    if (context == NULL) { /* never attached: no handshake of ours reads it */
        SSL_CTX_set_client_CA_list(ctx, list);
        return 1;
    }
    names = calloc(1, sizeof(*names));
    if (names == NULL)
        return 0;
    names->list = list;
    ccert_ca_names_publish(context, names);
    return 1;
}

/* ccert_send_ca_names - add the subject names that another SSL_CTX trusts to the CertificateRequest
 *
 * Does not use SSL_load_client_CA_file(), which skips TRUSTED CERTIFICATE blocks.  Callers must not
 * run concurrently. */
int ccert_send_ca_names(SSL_CTX *ctx, const SSL_CTX *trusting)
{
    STACK_OF(X509) *anchors = X509_STORE_get1_all_certs(SSL_CTX_get_cert_store(trusting));
    ccert_context *context = ccert_context_peek(ctx); /* borrowed */
    STACK_OF(X509_NAME) *names = names_of(ctx, context);
    int before = sk_X509_NAME_num(names);
    int ok = anchors != NULL && names != NULL;

    ERR_clear_error();
    for (int i = 0; ok && i < sk_X509_num(anchors); i++)
        ok = add(names, X509_get_subject_name(sk_X509_value(anchors, i)));
    sk_X509_pop_free(anchors, X509_free);
    if (ok && encoded_size(names) > MOST_NAMES) {
        ERR_raise_data(ERR_LIB_SSL, SSL_R_LENGTH_TOO_LONG, "too many CAs");
        ok = 0;
    }
    if (ok && sk_X509_NAME_num(names) > before && use(ctx, context, names))
        return 1;
    ok = ok && sk_X509_NAME_num(names) == before;
    sk_X509_NAME_pop_free(names, X509_NAME_free);
    return ok;
}
