/* policy - install and remove the policy that decides about an SSL_CTX's clients. */
#include "internal.h"

#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/sslerr.h>

#define MOST_NAMES 60000 /* octets; TLS allows 65535 for these and other extensions */

static ccert_policy *policy_new(bool trust_server_ccerts, bool observe, bool ask)
{
    ccert_policy *policy = calloc(1, sizeof(*policy));

    if (policy == NULL)
        return NULL;
    policy->trust_server_ccerts = trust_server_ccerts;
    policy->observe = observe;
    policy->ask = ask;
    if (RAND_bytes(policy->instance, CCERT_INSTANCE_SIZE) <= 0) {
        free(policy);
        return NULL;
    }
    return policy;
}

int ccert_policy_install(SSL_CTX *ctx, const ccert_settings *settings)
{
    ccert_context *context = ccert_context_get0(ctx);
    ccert_policy *policy;

    ERR_clear_error();
    if (context == NULL || !ccert_memory_sufficed_for_all(SSL_CTX_get_cert_store(ctx)))
        return 0;
    policy =
        policy_new(settings->trust_server_ccerts != 0, settings->observe != 0, settings->ask != 0);
    if (policy == NULL)
        return 0;
    if (!context->installed) {
        if (!ccert_session_configure(ctx, context)) {
            free(policy);
            return 0;
        }
        context->saved_depth = SSL_CTX_get_verify_depth(ctx);
        context->installed = true;
    }
    ccert_policy_publish(context, policy);
    SSL_CTX_set_verify_depth(ctx, settings->verify_depth + 1); /* as in Postfix's tls_server.c */
    SSL_CTX_set_cert_verify_callback(ctx, ccert_verify_callback, context);
    ccert_session_flush(ctx);
    return 1;
}

/* ccert_policy_renew - the CAs have changed: keep the settings, but let no session resume, even if
 * there is no memory for the new CAs */
int ccert_policy_renew(SSL_CTX *ctx)
{
    ccert_context *context = ccert_context_peek(ctx);
    const ccert_policy *old;
    ccert_policy *policy;

    ERR_clear_error();
    if (context == NULL || !context->installed)
        return 1;
    old = ccert_policy_enter(context);
    policy = policy_new(old->trust_server_ccerts, old->observe, old->ask);
    ccert_policy_leave(context);
    if (policy == NULL)
        return 0;
    ccert_policy_publish(context, policy);
    ccert_session_flush(ctx);
    return ccert_memory_sufficed_for_all(SSL_CTX_get_cert_store(ctx));
}

/* ccert_policy_remove - back to stock OpenSSL
 *
 * The callbacks stay installed and, without a policy, do what OpenSSL does by default.  Removing
 * them would be a race: during a handshake in another thread, libssl may read a callback twice,
 * once to compare it with NULL and once to call it. */
int ccert_policy_remove(SSL_CTX *ctx)
{
    ccert_context *context = ccert_context_get0(ctx);

    ERR_clear_error();
    if (context == NULL)
        return 0;
    if (!context->installed)
        return 1;
    SSL_CTX_set_verify_depth(ctx, context->saved_depth);
    context->installed = false;
    ccert_policy_publish(context, NULL);
    ccert_session_flush(ctx);
    return ccert_session_restore(ctx, context);
}

static int encoded_size(const STACK_OF(X509_NAME) * names)
{
    int size = 0;

    for (int i = 0; i < sk_X509_NAME_num(names); i++)
        size += i2d_X509_NAME(sk_X509_NAME_value(names, i), NULL) + 2;
    return size;
}

/* names_of - a copy of the names that the CertificateRequest lists already; NULL: no memory */
static STACK_OF(X509_NAME) * names_of(const SSL_CTX *ctx)
{
    const STACK_OF(X509_NAME) *names = SSL_CTX_get_client_CA_list(ctx); /* borrowed */

    return names == NULL ? sk_X509_NAME_new_null()
                         : sk_X509_NAME_deep_copy(names, X509_NAME_dup, X509_NAME_free);
}

/* ccert_send_ca_names - add the subject names that another SSL_CTX trusts to the CertificateRequest
 *
 * Does not use SSL_load_client_CA_file(), which skips TRUSTED CERTIFICATE blocks. */
int ccert_send_ca_names(SSL_CTX *ctx, const SSL_CTX *trusting)
{
    STACK_OF(X509) *anchors = X509_STORE_get1_all_certs(SSL_CTX_get_cert_store(trusting));
    STACK_OF(X509_NAME) *names = names_of(ctx);
    int ok = anchors != NULL && names != NULL;

    ERR_clear_error();
    for (int i = 0; ok && i < sk_X509_num(anchors); i++) {
        const X509_NAME *subject = X509_get_subject_name(sk_X509_value(anchors, i)); /* borrowed */
        bool known = false;

        for (int j = 0; !known && j < sk_X509_NAME_num(names); j++)
            known = X509_NAME_cmp(subject, sk_X509_NAME_value(names, j)) == 0;
        if (!known) {
            X509_NAME *copy = X509_NAME_dup(subject);

            ok = copy != NULL && sk_X509_NAME_push(names, copy) > 0;
            if (!ok)
                X509_NAME_free(copy);
        }
    }
    sk_X509_pop_free(anchors, X509_free);
    if (ok && encoded_size(names) > MOST_NAMES) {
        ERR_raise_data(ERR_LIB_SSL, SSL_R_LENGTH_TOO_LONG, "too many CAs");
        ok = 0;
    }
    if (!ok) {
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        return 0;
    }
    SSL_CTX_set_client_CA_list(ctx, names); /* takes ownership */
    return 1;
}
