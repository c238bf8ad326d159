/* connecting - handshakes, and reading the peer, in which an allocation fails. */
#include "faults.h"

#include <string.h>

#include <openssl/err.h>

int installs(SSL_CTX *ctx, const variety *v)
{
    const ccert_settings settings = {
        .trust_server_ccerts = 1, .ask = v->mode == ASK, .verify_depth = 9};

    return ccert_policy_install(ctx, &settings);
}

void install(SSL_CTX *ctx, const variety *v)
{
    must(installs(ctx, v), "attach");
}

/* shake_well - a whole connection, with memory; *session, if wanted, is the client's, owned */
outcome shake_well(SSL_CTX *server, SSL_CTX *client, const variety *v, SSL_SESSION **session)
{
    pair p;
    outcome found;

    must(pair_make(&p, server, client, NULL), "make a server");
    pair_shake(&p);
    found = pair_judge(&p, v);
    if (session != NULL)
        *session = pair_session(&p);
    pair_end(&p);
    return found;
}

/* -- handshakes -- */

/* kept - is there a session that must not be there? */
static bool kept(SSL_CTX *server, const variety *v, const pair *p, long before)
{
    long now = SSL_CTX_sess_number(server);

    return (p->finished && v->trusted) ? now > before + 1 : now > before;
}

/* prepare - the policy and, where the client is to resume, its session */
static void prepare(SSL_CTX *server, SSL_CTX *client, const variety *v, SSL_SESSION **session)
{
    install(server, v);
    if (v->resumed)
        must(shake_well(server, client, v, session) == SAME, "make a session");
}

outcome attempt_handshake(const variety *v, const fault *f)
{
    SSL_CTX *server = new_server(v), *client = new_client(v);
    SSL_SESSION *session = NULL;
    pair p;
    outcome found;
    long before;
    bool hit;

    prepare(server, client, v, &session);
    before = SSL_CTX_sess_number(server);
    allocator_arm(f);
    if (pair_make(&p, server, client, session))
        pair_shake(&p);
    found = pair_judge(&p, v);
    pair_end(&p);
    hit = allocator_disarm();
    if (found <= WORST_ALLOWED && kept(server, v, &p, before))
        found = KEPT;
    if (found <= WORST_ALLOWED && shake_well(server, client, v, NULL) != SAME)
        found = LASTING;
    SSL_SESSION_free(session);
    SSL_CTX_free(server);
    SSL_CTX_free(client);
    return hit ? found : NONE;
}

/* -- reading the peer -- */

bool same_verdict(const ccert_verdict *a, const ccert_verdict *b)
{
    return a->trust == b->trust && a->trusted_as_server == b->trusted_as_server
           && a->error_code == b->error_code && a->error_depth == b->error_depth
           && strcmp(a->subject, b->subject) == 0 && strcmp(a->issuer, b->issuer) == 0
           && memcmp(a->fingerprint, b->fingerprint, sizeof(a->fingerprint)) == 0
           && memcmp(a->pubkey_fingerprint, b->pubkey_fingerprint, sizeof(a->pubkey_fingerprint))
                  == 0
           && a->names_size == b->names_size
           && (a->names_size == 0 || memcmp(a->names, b->names, a->names_size) == 0);
}

/* differs - how a verdict does that is not the right one */
outcome differs(const ccert_verdict *verdict, const variety *v)
{
    if (verdict->trust == CCERT_ANONYMOUS)
        return ANONYMOUS;
    if (verdict->trust == CCERT_TRUSTED)
        return v->trusted ? DIFFERENT : TRUSTED;
    return UNTRUSTED;
}

static bool same_signature(const ccert_signature *a, const ccert_signature *b)
{
    return strcmp(a->name, b->name) == 0 && strcmp(a->curve, b->curve) == 0
           && strcmp(a->digest, b->digest) == 0 && a->bits == b->bits;
}

static bool same_peer(const ccert_peer *a, const ccert_peer *b)
{
    bool same = a->certificates == b->certificates && a->resumed == b->resumed
                && a->cipher_bits == b->cipher_bits && a->observed == b->observed
                && strcmp(a->error_issuer, b->error_issuer) == 0
                && strcmp(a->protocol, b->protocol) == 0 && strcmp(a->cipher, b->cipher) == 0
                && strcmp(a->key_exchange, b->key_exchange) == 0
                && strcmp(a->server_name, b->server_name) == 0
                && same_signature(&a->server_signature, &b->server_signature)
                && same_signature(&a->client_signature, &b->client_signature);

    for (int i = 0; same && i < a->certificates; i++)
        same = a->der_size[i] == b->der_size[i]
               && memcmp(a->der[i], b->der[i], (size_t)a->der_size[i]) == 0;
    return same;
}

outcome attempt_peer(const variety *v, const fault *f)
{
    SSL_CTX *server = new_server(v), *client = new_client(v);
    SSL_SESSION *session = NULL;
    ccert_peer *right, *peer;
    pair p;
    outcome found;
    bool hit;

    prepare(server, client, v, &session);
    must(pair_make(&p, server, client, session), "make a server");
    pair_shake(&p);
    allocator_arm(f);
    found = ccert_peer_new(p.object, &peer) == CCERT_PEER_OK ? SAME : REFUSED;
    hit = allocator_disarm();
    ERR_clear_error();
    must(ccert_peer_new(p.object, &right) == CCERT_PEER_OK, "read the peer");
    must(right->resumed == v->resumed, "resume");
    if (found == SAME && !same_verdict(&peer->verdict, &right->verdict))
        found = differs(&peer->verdict, v);
    else if ((found == SAME && !same_peer(peer, right)) || (found == REFUSED && peer != NULL))
        found = DIFFERENT;
    ccert_peer_free(peer);
    ccert_peer_free(right);
    pair_end(&p);
    SSL_SESSION_free(session);
    SSL_CTX_free(server);
    SSL_CTX_free(client);
    return hit ? found : NONE;
}
