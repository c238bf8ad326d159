/* policy - install and remove the policy that decides about an SSL_CTX's clients. */
#include "internal.h"

#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/rand.h>

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
