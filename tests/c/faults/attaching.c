/* attaching - an SSL_CTX's policy is installed, renewed or removed, and an allocation fails. */
#include "faults.h"

#include <string.h>

#include <openssl/err.h>

/* What attaching changes in an SSL_CTX. */
typedef struct {
    uint64_t options;
    size_t tickets;
    long cache_mode, cache_size;
    int depth;
    void *guard;
    bool installed;
    unsigned char instance[CCERT_INSTANCE_SIZE];
} state;

static state state_of(SSL_CTX *ctx)
{
    const ccert_context *context = ccert_context_peek(ctx);
    state s;

    memset(&s, 0, sizeof(s)); /* padding, too: it is compared whole */
    s.options = SSL_CTX_get_options(ctx);
    s.tickets = SSL_CTX_get_num_tickets(ctx);
    s.cache_mode = SSL_CTX_get_session_cache_mode(ctx);
    s.cache_size = SSL_CTX_sess_get_cache_size(ctx);
    s.depth = SSL_CTX_get_verify_depth(ctx);
    s.guard = SSL_CTX_get_record_padding_callback_arg(ctx);
    if (context != NULL && atomic_load(&context->policy) != NULL) {
        s.installed = context->installed;
        memcpy(s.instance, atomic_load(&context->policy)->instance, CCERT_INSTANCE_SIZE);
    }
    return s;
}

static bool same_state(const state *a, const state *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

/* settle - all or nothing: what was not done left everything as it was, and can be done again */
static outcome settle(SSL_CTX *server, const variety *v, bool done, const state *before)
{
    SSL_CTX *client = new_client(v);
    state after = state_of(server);
    outcome found = done ? SAME : REFUSED;

    if (done
            ? !after.installed || memcmp(after.instance, before->instance, CCERT_INSTANCE_SIZE) == 0
            : !same_state(&after, before))
        found = HALF;
    if (found == HALF || (!done && !installs(server, v)))
        ; /* a CA that was read in part is of no use any more, and every attempt says so */
    else if (shake_well(server, client, v, NULL) != SAME)
        found = LASTING;
    SSL_CTX_free(client);
    return found;
}

outcome attempt_attach(const variety *v, const fault *f)
{
    SSL_CTX *server = new_server(v);
    state before = state_of(server);
    outcome found;
    bool hit;
    int done;

    allocator_arm(f);
    done = installs(server, v);
    hit = allocator_disarm();
    ERR_clear_error();
    found = settle(server, v, done != 0, &before);
    SSL_CTX_free(server);
    return hit ? found : NONE;
}

/* ended - the state that renewing may leave although it failed: the sessions have ended */
static state ended(SSL_CTX *server, const state *before)
{
    state after = state_of(server), allowed = *before;

    if (after.installed)
        memcpy(allowed.instance, after.instance, CCERT_INSTANCE_SIZE);
    return allowed;
}

outcome attempt_renew(const variety *v, const fault *f)
{
    SSL_CTX *server = new_server(v);
    state before;
    outcome found;
    bool hit;
    int done;

    install(server, v);
    before = state_of(server);
    allocator_arm(f);
    done = ccert_policy_renew(server);
    hit = allocator_disarm();
    ERR_clear_error();
    if (!done)
        before = ended(server, &before);
    found = settle(server, v, done != 0, &before);
    SSL_CTX_free(server);
    return hit ? found : NONE;
}

/* attempt_detach - the SSL_CTX is as before it was attached */
outcome attempt_detach(const variety *v, const fault *f)
{
    SSL_CTX *server = new_server(v);
    state before = state_of(server), after;
    outcome found = SAME;
    bool hit;

    install(server, v);
    allocator_arm(f);
    if (!ccert_policy_remove(server))
        found = REFUSED;
    hit = allocator_disarm();
    ERR_clear_error();
    after = state_of(server);
    if (found == SAME && !same_state(&after, &before))
        found = HALF;
    SSL_CTX_free(server);
    return hit ? found : NONE;
}

outcome attempt_ca_names(const variety *v, const fault *f)
{
    SSL_CTX *server = new_server(v);
    outcome found = SAME;
    bool hit;
    int count;

    allocator_arm(f);
    if (!ccert_send_ca_names(server, server))
        found = REFUSED;
    hit = allocator_disarm();
    ERR_clear_error();
    count = sk_X509_NAME_num(SSL_CTX_get_client_CA_list(server));
    if (count != (found == SAME ? 1 : 0) && !(found == REFUSED && count < 0))
        found = HALF;
    SSL_CTX_free(server);
    return hit ? found : NONE;
}
