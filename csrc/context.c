/* context - what ccert attaches to an SSL_CTX: its policy, names of CAs, and counters.
 *
 * The ccert_context belongs to the SSL_CTX (ex_data), because connections may outlive every Python
 * object.  libssl reads a callback and its argument separately, so both stay the same for the
 * lifetime of the SSL_CTX.  Only the policy and the names inside are replaced, while handshakes in
 * other threads may be reading them.
 *
 * A callback counts itself as a reader, then loads the policy.  Whoever replaces the policy first
 * exchanges it, then looks at the number of readers.  Both operations are sequentially consistent,
 * so either the reader is seen, or it loads the new policy.  A replaced policy is therefore freed
 * when there is no reader: at once, or when the policy is replaced again, or with the SSL_CTX.  So
 * are names.
 */
#include "internal.h"

#include <stdlib.h>

static int ctx_index = -1;

static void free_retired(ccert_context *context)
{
    while (context->retired != NULL) {
        ccert_policy *policy = context->retired;

        context->retired = policy->retired;
        free(policy);
    }
    ccert_ca_names_free(context->retired_names);
    context->retired_names = NULL;
}

static void on_ctx_free(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int index, long argl,
                        void *argp)
{
    ccert_context *context = ptr;

    (void)parent, (void)ad, (void)index, (void)argl, (void)argp;
    if (context == NULL)
        return;
    free_retired(context);
    free(atomic_load(&context->policy));
    ccert_ca_names_free(atomic_load(&context->ca_names));
    free(context);
}

int ccert_context_init(void)
{
    if (ctx_index < 0)
        ctx_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, on_ctx_free);
    return ctx_index >= 0;
}

/* ccert_context_peek - the SSL_CTX's ccert_context; NULL: ccert was never attached */
ccert_context *ccert_context_peek(const SSL_CTX *ctx)
{
    return SSL_CTX_get_ex_data(ctx, ctx_index);
}

/* ccert_context_get0 - the SSL_CTX's ccert_context, created at the first call; NULL: no memory */
ccert_context *ccert_context_get0(SSL_CTX *ctx)
{
    ccert_context *context = ccert_context_peek(ctx);

    if (context != NULL)
        return context;
    context = calloc(1, sizeof(*context));
    if (context == NULL)
        return NULL;
    if (!SSL_CTX_set_ex_data(ctx, ctx_index, context)) {
        free(context);
        return NULL;
    }
    return context;
}

/* ccert_policy_enter - borrow the policy until ccert_policy_leave; NULL: detached */
const ccert_policy *ccert_policy_enter(ccert_context *context)
{
    atomic_fetch_add(&context->readers, 1);
    return atomic_load(&context->policy);
}

void ccert_policy_leave(ccert_context *context)
{
    atomic_fetch_sub(&context->readers, 1);
}

/* ccert_policy_publish - replace the policy; the context takes ownership; NULL detaches.  Callers
 * must not run concurrently (attachment.py holds a lock). */
void ccert_policy_publish(ccert_context *context, ccert_policy *policy)
{
    ccert_policy *old = atomic_exchange(&context->policy, policy);

    if (old != NULL) {
        old->retired = context->retired;
        context->retired = old;
    }
    if (atomic_load(&context->readers) == 0)
        free_retired(context);
}

/* ccert_ca_names_publish - likewise */
void ccert_ca_names_publish(ccert_context *context, ccert_ca_names *names)
{
    ccert_ca_names *old = atomic_exchange(&context->ca_names, names);

    if (old != NULL) {
        old->retired = context->retired_names;
        context->retired_names = old;
    }
    if (atomic_load(&context->readers) == 0)
        free_retired(context);
}

int ccert_policy_counters(SSL_CTX *ctx, ccert_counters *counters)
{
    ccert_context *context = ccert_context_get0(ctx);

    if (context == NULL)
        return 0;
    counters->verified = atomic_load(&context->verified);
    counters->trusted = atomic_load(&context->trusted);
    counters->trusted_as_server = atomic_load(&context->trusted_as_server);
    counters->untrusted = atomic_load(&context->untrusted);
    return 1;
}
