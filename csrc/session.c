/* session - when may a session resume?
 *
 * Resumption skips verification and reuses the stored verdict (CVE-2025-23419 is an example of what
 * can go wrong).  The rule: a session resumes only if a full handshake at this moment would be
 * judged by the same instance of the same policy, for the same server name, in the same SSL_CTX,
 * and before the first certificate of its chain expires.  In doubt, it does not resume.  The rule
 * is enforced at these places:
 *
 * 1. Before libssl looks for a session (client_hello callback).  The session id context is a digest
 *    of the policy's instance, of the connection's own verify settings (copied from the SSL_CTX
 *    when the connection was made), and of the server_name extension.  Sessions are stored and
 *    looked up by it.  If the SSL_CTX that answers is not the one that the connection was made
 *    from, whose sessions libssl uses, the id context is random and matches nothing.
 * 2. At each step of the handshake (info callback).  If an sni_callback or an assignment has moved
 *    the connection to another SSL_CTX than it was made from, it leaves no session.
 * 3. When a certificate has been verified (ccert_session_limit).  There is no session if the
 *    certificate is not trusted, if the policy that verified it is not the one that answered the
 *    ClientHello, or if its chain is so large that many such chains would exhaust the memory.  With
 *    TLS 1.2, the session's timeout is shortened here, to end before the chain expires.
 * 4. Before a ticket is made, and before a session is stored, which libssl leaves to us.  With TLS
 *    1.3, the timeout is shortened here: each resumption makes a new ticket with a new start time,
 *    so the session carries the deadline itself.
 * 5. At the end of the handshake (info callback).  libssl decides about resumption before the
 *    sni_callback, before a second ClientHello (after a HelloRetryRequest) and before the client's
 *    last message, which may come much later.  If the rule no longer holds, or the client changed
 *    the server name in its second ClientHello, which RFC 8446 forbids, the connection is closed:
 *    Python reads EOF and cannot write.
 * 6. When the connection is freed (keeping.c).  libssl drops the session of a connection
 *    that was not shut down, and most servers just close.  We keep it if the handshake had finished
 *    and no fatal alert was sent or received.
 *
 * Sessions are kept in memory, and each connection gets one ticket, which refers to its session.
 * This is cheaper than CPython's two self-contained tickets, and the sessions can be flushed.
 */
#include "internal.h"

#include <string.h>

#include <openssl/rand.h>

/* A session holds the client's decoded chain, about 10 kB.  OpenSSL's default is 20480. */
#define SESSION_CACHE_SIZE 2048

/* -- does the rule hold? -- */

/* was_made_of - is this the ccert_context of the SSL_CTX that the SSL was made from?
 *
 * libssl has no getter for that.  But SSL_new() copies the argument of the record padding callback,
 * which CPython does not use, and SSL_set_SSL_CTX() leaves it unchanged.  ccert_session_configure()
 * puts the ccert_context there.  The argument may also come from elsewhere, so it is only compared,
 * never dereferenced. */
static bool was_made_of(const SSL *ssl, const ccert_context *context)
{
    return context != NULL && SSL_get_record_padding_callback_arg(ssl) == context;
}

/* ccert_session_is_guarded - was the SSL made from an attached SSL_CTX?  Then Python's object
 * around it is of a class of ours (tls/connection.py).  CPython never sets this argument. */
bool ccert_session_is_guarded(const SSL *ssl)
{
    return SSL_get_record_padding_callback_arg(ssl) != NULL;
}

#define MODES (SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT)

/* ccert_session_has_current_policy - the one that answered the ClientHello */
bool ccert_session_has_current_policy(const ccert_connection *connection)
{
    ccert_context *context = ccert_context_peek(connection->home); /* borrowed */
    const ccert_policy *policy = ccert_policy_enter(context);
    bool current =
        policy != NULL && memcmp(policy->instance, connection->instance, CCERT_INSTANCE_SIZE) == 0;

    ccert_policy_leave(context);
    return current;
}

/* is_current - neither the policy that answered the ClientHello nor the verify mode that the
 * connection was made with has been replaced in its home */
static bool is_current(const SSL *ssl, const ccert_connection *connection)
{
    return ccert_session_has_current_policy(connection)
           && ((SSL_get_verify_mode(ssl) ^ SSL_CTX_get_verify_mode(connection->home)) & MODES) == 0;
}

bool ccert_session_is_at_home(const SSL *ssl, const ccert_connection *connection)
{
    return connection != NULL && connection->home != NULL && !connection->away
           && SSL_get_SSL_CTX(ssl) == connection->home;
}

/* rule_holds - except for the expiry, which the session's timeout enforces */
static bool rule_holds(SSL *ssl, const ccert_connection *connection)
{
    return ccert_session_is_at_home(ssl, connection) && is_current(ssl, connection)
           && ccert_server_name_kept(ssl, connection);
}

/* -- 2. at each step, 5. at the end of the handshake -- */

/* leave_no_session - while the session is this handshake's own, and not stored yet.  With TLS 1.2,
 * a session without an id is not stored. */
static int leave_no_session(SSL *ssl)
{
    SSL_SESSION *session = SSL_get_session(ssl); /* borrowed */

    if (SSL_version(ssl) >= TLS1_3_VERSION)
        return SSL_set_num_tickets(ssl, 0);
    return session != NULL && ccert_session_void(session)
           && SSL_SESSION_set1_id(session, (const unsigned char *)"", 0);
}

/* end_session - at any time.  With TLS 1.2 it may be the stored one of the handshake before a
 * renegotiation, whose id must not change: it expires.  A resumed one is shared: see refuse(). */
static void end_session(SSL *ssl)
{
    SSL_SESSION *session = SSL_get_session(ssl); /* borrowed */

    if (SSL_version(ssl) >= TLS1_3_VERSION)
        (void)SSL_set_num_tickets(ssl, 0); /* if it fails, on_new_ticket voids the session */
    else if (session != NULL && !SSL_session_reused(ssl))
        ccert_session_expire(session);
}

static void refuse(SSL *ssl, ccert_connection *connection)
{
    SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    end_session(ssl);
    if (connection == NULL)
        return;
    connection->refused = true;
    ccert_mark_end(SSL_get_session(ssl));
    if (connection->home == NULL || !SSL_session_reused(ssl))
        return;
    (void)SSL_CTX_remove_session(connection->home, SSL_get_session(ssl)); /* 0: not cached */
    /* A ticket cannot be revoked, and the client would offer it again and again.  The server name
     * now selects another SSL_CTX, so all sessions end. */
    if (!ccert_session_is_at_home(ssl, connection))
        atomic_fetch_add(&ccert_context_peek(connection->home)->epoch, 1);
}

static bool may_stand(SSL *ssl, const ccert_connection *connection)
{
    const SSL_SESSION *session = SSL_get_session(ssl); /* borrowed */
    bool verified = connection != NULL && connection->verified;

    if (SSL_session_reused(ssl) && !verified)
        return rule_holds(ssl, connection) && !ccert_session_has_ended(session);
    return connection == NULL || connection->home == NULL
           || ccert_server_name_kept(ssl, connection);
}

static void on_step(SSL *ssl, ccert_context *context, ccert_connection *connection)
{
    if (was_made_of(ssl, context) && (connection == NULL || !connection->away))
        return;
    end_session(ssl);
    if (connection == NULL || !connection->away)
        (void)ccert_ca_names_send(ssl, context); /* 0: fewer names, that is all */
    if (connection == NULL)
        connection = ccert_connection_get0(ssl); /* so that peer.c finds it */
    if (connection != NULL)
        connection->away = true;
}

/* on_start - a renegotiation (TLS 1.2) begins; TLS 1.3 has messages after the handshake instead */
static void on_start(const SSL *ssl, ccert_connection *connection)
{
    if (connection == NULL || SSL_version(ssl) >= TLS1_3_VERSION)
        return;
    connection->verified = false;
    connection->finished = false;
}

/* on_info - the info callback of our SSLs, and of each SSL_CTX, for SSLs that were made from
 * another SSL_CTX and switched to it */
static void on_info(const SSL *const_ssl, int where, int result)
{
    SSL *ssl = (SSL *)(uintptr_t)const_ssl; /* const for historical reasons only */
    ccert_connection *connection;           /* borrowed */
    ccert_context *context;                 /* borrowed */

    if (!(where & (SSL_CB_LOOP | SSL_CB_ALERT)) && where != SSL_CB_HANDSHAKE_START
        && where != SSL_CB_HANDSHAKE_DONE)
        return;
    connection = ccert_connection_peek(ssl);
    if (where == SSL_CB_HANDSHAKE_START) {
        on_start(ssl, connection);
        return;
    }
    if (where & SSL_CB_ALERT) {
        ccert_keeping_alert(ssl, connection, result);
        return;
    }
    context = ccert_context_peek(SSL_get_SSL_CTX(ssl));
    if (connection == NULL && (context == NULL || atomic_load(&context->policy) == NULL))
        return; /* not ours */
    if (where & SSL_CB_LOOP)
        on_step(ssl, context, connection);
    else if (!may_stand(ssl, connection))
        refuse(ssl, connection);
    else if (connection != NULL) {
        connection->finished = true;
        if (SSL_session_reused(ssl) && SSL_version(ssl) < TLS1_3_VERSION)
            ccert_keeping_spare(ssl, connection, SSL_get_session(ssl));
    }
}

/* -- 1. before libssl looks for a session -- */

typedef struct {
    unsigned char instance[CCERT_INSTANCE_SIZE];
    uint64_t flags; /* X509_V_FLAG_... */
    uint32_t epoch;
    int32_t mode, depth, level;
    uint64_t name_size;
    unsigned char name[CCERT_NAME_SIZE];
} id_material;

static int id_context(SSL *ssl, ccert_context *context, const ccert_connection *connection,
                      unsigned char digest[CCERT_DIGEST_SIZE])
{
    id_material material;

    memset(&material, 0, offsetof(id_material, name)); /* the digest would cover any padding */
    memcpy(material.instance, connection->instance, CCERT_INSTANCE_SIZE);
    material.epoch = atomic_load(&context->epoch);
    material.flags = X509_VERIFY_PARAM_get_flags(SSL_get0_param(ssl));
    material.mode = SSL_get_verify_mode(ssl);
    material.depth = SSL_get_verify_depth(ssl);
    material.level = SSL_get_security_level(ssl);
    material.name_size = connection->name_size;
    if (connection->name != NULL)
        memcpy(material.name, connection->name, connection->name_size);
    return ccert_digest(&material, offsetof(id_material, name) + connection->name_size, digest);
}

static int answer(SSL *ssl, ccert_context *context, const ccert_policy *policy)
{
    ccert_connection *connection = ccert_connection_get0(ssl); /* borrowed */
    unsigned char digest[CCERT_DIGEST_SIZE];

    if (connection == NULL || !ccert_server_name_keep(ssl, connection))
        return 0;
    connection->verified = false;
    connection->away = false;
    connection->home = was_made_of(ssl, context) ? SSL_get_SSL_CTX(ssl) : NULL;
    connection->trust_server_ccerts = policy->trust_server_ccerts;
    connection->observe = policy->observe;
    memcpy(connection->instance, policy->instance, CCERT_INSTANCE_SIZE);
    SSL_set_info_callback(ssl, on_info);
    return (connection->home == NULL ? RAND_bytes(digest, sizeof(digest)) > 0
                                     : id_context(ssl, context, connection, digest))
           && SSL_set_session_id_context(ssl, digest, sizeof(digest));
}

static int on_client_hello(SSL *ssl, int *alert, void *arg)
{
    ccert_context *context = arg; /* NULL only if ccert is attached during a handshake */
    const ccert_policy *policy;
    int ok;

    if (context == NULL)
        return SSL_CLIENT_HELLO_SUCCESS;
    policy = ccert_policy_enter(context);
    ok = (atomic_load(&context->ca_names) == NULL || ccert_ca_names_send(ssl, context))
         && (policy == NULL || answer(ssl, context, policy));
    ccert_policy_leave(context);
    if (ok)
        return SSL_CLIENT_HELLO_SUCCESS;
    *alert = SSL_AD_INTERNAL_ERROR;
    return SSL_CLIENT_HELLO_ERROR;
}

/* -- 3. when a certificate has been verified, 4. before a ticket is made or a session stored -- */

/* ccert_session_limit - called by the verify callback: limit or drop this session
 *
 * With TLS 1.3, the session may be in use elsewhere (post-handshake authentication), so it is left
 * unchanged; its tickets are made later.  With TLS 1.2, only this handshake uses it. */
int ccert_session_limit(SSL *ssl, const ccert_connection *connection, bool keep)
{
    SSL_SESSION *session = SSL_get_session(ssl); /* borrowed */

    if (!keep || !rule_holds(ssl, connection))
        return leave_no_session(ssl);
    if (SSL_version(ssl) >= TLS1_3_VERSION)
        return 1;
    return session != NULL && ccert_session_shorten(session, connection->expiry);
}

/* on_new_ticket - no other thread can see the session yet.  With TLS 1.2, a session keeps its start
 * time, and ccert_session_limit has already set its timeout. */
static int on_new_ticket(SSL *ssl, void *arg)
{
    SSL_SESSION *session = SSL_get_session(ssl);                     /* borrowed */
    const ccert_connection *connection = ccert_connection_peek(ssl); /* borrowed */
    int64_t expiry;

    if (session == NULL)
        return 0;
    if (connection == NULL && atomic_load(&((ccert_context *)arg)->policy) == NULL)
        return 1; /* detached */
    if (!rule_holds(ssl, connection))
        return ccert_session_void(session);
    if (SSL_version(ssl) < TLS1_3_VERSION)
        return 1;
    expiry = connection->verified ? connection->expiry : ccert_session_expiry(ssl, session);
    return SSL_SESSION_set1_ticket_appdata(session, &expiry, sizeof(expiry))
           && ccert_session_shorten(session, expiry);
}

/* on_new_session - store the session, which libssl leaves to us, where libssl will look for it
 *
 * libssl calls this for the SSL_CTX that keeps the sessions, so the SSL was made from an attached
 * one, even if no other callback of ours was called in the handshake.  libssl also calls this for
 * TLS 1.3's stateless tickets, but for them there is nothing to store. */
static int on_new_session(SSL *ssl, SSL_SESSION *session)
{
    ccert_connection *connection = ccert_connection_peek(ssl); /* borrowed */

    if (!rule_holds(ssl, connection)
        || (SSL_version(ssl) >= TLS1_3_VERSION && (SSL_get_options(ssl) & SSL_OP_NO_TICKET) == 0))
        return 0;
    ccert_keeping_store(ssl, connection, session);
    return 0;
}

/* -- the SSL_CTX -- */

int ccert_session_configure(SSL_CTX *ctx, ccert_context *context)
{
    size_t num_tickets = SSL_CTX_get_num_tickets(ctx);

    if (!SSL_CTX_set_session_ticket_cb(ctx, on_new_ticket, NULL, context))
        return 0;
    if (num_tickets > 1 && !SSL_CTX_set_num_tickets(ctx, 1))
        return 0;
    SSL_CTX_set_client_hello_cb(ctx, on_client_hello, context);
    SSL_CTX_sess_set_new_cb(ctx, on_new_session);
    context->saved_cache_mode = SSL_CTX_set_session_cache_mode(
        ctx, SSL_CTX_get_session_cache_mode(ctx) | SSL_SESS_CACHE_NO_INTERNAL_STORE);
    SSL_CTX_set_info_callback(ctx, on_info);
    SSL_CTX_set_record_padding_callback_arg(ctx, context);
    context->saved_num_tickets = num_tickets;
    context->saved_options = SSL_CTX_get_options(ctx) & SSL_OP_NO_TICKET;
    SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
    context->saved_cache_size = SSL_CTX_sess_set_cache_size(ctx, SESSION_CACHE_SIZE);
    return 1;
}

int ccert_session_restore(SSL_CTX *ctx, const ccert_context *context)
{
    if (context->saved_options == 0)
        SSL_CTX_clear_options(ctx, SSL_OP_NO_TICKET);
    SSL_CTX_set_record_padding_callback_arg(ctx, NULL);
    SSL_CTX_sess_set_cache_size(ctx, context->saved_cache_size);
    SSL_CTX_set_session_cache_mode(ctx, context->saved_cache_mode);
    if (SSL_CTX_get_num_tickets(ctx) != 1) /* changed by the application since */
        return 1;
    return SSL_CTX_set_num_tickets(ctx, context->saved_num_tickets);
}

void ccert_session_flush(SSL_CTX *ctx)
{
#if OPENSSL_VERSION_PREREQ(3, 4)
    SSL_CTX_flush_sessions_ex(ctx, 0); /* 0: regardless of their timeouts */
#else
    SSL_CTX_flush_sessions(ctx, 0);
#endif
}
