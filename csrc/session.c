/* session - make sure that a resumed session never carries a verdict to where it does not hold.
 *
 * Resumption skips verification and brings the stored result along.  CPython gives every server
 * connection the same session id context, so a session that one policy (or one name's context, see
 * sni_callback) let in would resume under another: CVE-2025-23419 is of this class.  Here
 *
 * - the id context of each connection is a digest of the policy, of what the connection itself will
 *   verify by (it keeps what the SSL_CTX said when it was made), and of the server_name extension.
 *   It is set in the client_hello callback: before libssl looks for a session, which with TLS 1.3
 *   is before it looks at the name;
 * - a client that changes the name after a HelloRetryRequest, which RFC 8446 forbids, is cut off:
 *   the second ClientHello may meet another SSL_CTX, without our callback;
 * - a handshake whose ClientHello met another policy than its certificate leaves no session, nor
 *   does an untrusted certificate, nor a chain so large that many would fill the memory;
 * - no session outlives the first certificate of its chain.  TLS 1.3 renews the session at each
 *   resumption with a new start, so the deadline travels in the session itself.
 *
 * Sessions are kept in memory and tickets refer to them, one for each connection: cheaper than
 * CPython's two self-contained tickets, and they can be flushed.
 */
#include "internal.h"

#include <string.h>
#include <time.h>

/* A session holds the client's decoded chain, some 10 kB.  OpenSSL's own bound is 20480. */
#define SESSION_CACHE_SIZE 2048

#define NO_EXPIRY INT64_MAX

/* Equals no id context that on_client_hello or CPython sets. */
static const unsigned char never_resumed[] = "ccert-never-resumed";

/* keep_name - the server_name extension as the client sent it; one that is larger than a name can
 * be is refused, as libssl would later */
static int keep_name(SSL *ssl, ccert_connection *connection)
{
    const unsigned char *name; /* borrowed */
    size_t size;

    OPENSSL_free(connection->name); /* of the ClientHello before HelloRetryRequest */
    connection->name = NULL;
    connection->name_size = 0;
    if (!SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &name, &size))
        return 1;
    if (size == 0)
        return 1; /* libssl refuses it */
    if (size > CCERT_NAME_SIZE || (connection->name = OPENSSL_memdup(name, size)) == NULL)
        return 0;
    connection->name_size = size;
    return 1;
}

/* name_kept - is the name that counts in the end the one that the first ClientHello had?
 *
 * Encodes it again as the extension was: one host_name (RFC 6066, 3), OpenSSL takes nothing else.
 */
static bool name_kept(SSL *ssl, const ccert_connection *connection)
{
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name); /* borrowed */
    size_t size = name == NULL ? 0 : strlen(name);
    unsigned char head[5];

    if (name == NULL)
        return connection->name_size == 0;
    if (size > TLSEXT_MAXLEN_host_name || connection->name_size != sizeof(head) + size)
        return false;
    head[0] = (unsigned char)((size + 3) >> 8);
    head[1] = (unsigned char)((size + 3) & 0xff);
    head[2] = TLSEXT_NAMETYPE_host_name;
    head[3] = (unsigned char)(size >> 8);
    head[4] = (unsigned char)(size & 0xff);
    return memcmp(connection->name, head, sizeof(head)) == 0
           && memcmp(connection->name + sizeof(head), name, size) == 0;
}

typedef struct {
    unsigned char policy[CCERT_DIGEST_SIZE];
    uint64_t generation; /* attaching anew ends all sessions */
    uint64_t flags;      /* X509_V_FLAG_... */
    int32_t mode, depth, level, name_size;
    unsigned char name[CCERT_NAME_SIZE];
} id_material;

static int id_context(SSL *ssl, const ccert_policy *policy, const ccert_connection *connection,
                      unsigned char digest[CCERT_DIGEST_SIZE])
{
    id_material material;

    memset(&material, 0, offsetof(id_material, name)); /* no padding here, but nobody need know */
    memcpy(material.policy, policy->digest, CCERT_DIGEST_SIZE);
    material.generation = policy->generation;
    material.flags = X509_VERIFY_PARAM_get_flags(SSL_get0_param(ssl));
    material.mode = SSL_get_verify_mode(ssl);
    material.depth = SSL_get_verify_depth(ssl);
    material.level = SSL_get_security_level(ssl);
    material.name_size = (int32_t)connection->name_size;
    if (connection->name != NULL)
        memcpy(material.name, connection->name, connection->name_size);
    return ccert_digest(&material, offsetof(id_material, name) + connection->name_size, digest);
}

static int on_client_hello(SSL *ssl, int *alert, void *arg)
{
    ccert_context *context = arg; /* NULL only if somebody attaches amid a handshake */
    ccert_connection *connection = ccert_connection_get0(ssl); /* borrowed */
    unsigned char digest[CCERT_DIGEST_SIZE];
    const ccert_policy *policy;
    int ok = connection != NULL;

    if (context == NULL)
        return SSL_CLIENT_HELLO_SUCCESS;
    policy = ccert_policy_enter(context);

    if (ok) {
        connection->verified = false;
        connection->generation = 0;
        ok = keep_name(ssl, connection);
    }
    if (ok && policy != NULL) {
        connection->generation = policy->generation;
        connection->trust_server_ccerts = policy->trust_server_ccerts;
        connection->observe = policy->observe;
        ok = id_context(ssl, policy, connection, digest)
             && SSL_set_session_id_context(ssl, digest, sizeof(digest));
    }
    ccert_policy_leave(context);
    if (ok)
        return SSL_CLIENT_HELLO_SUCCESS;
    *alert = SSL_AD_INTERNAL_ERROR;
    return SSL_CLIENT_HELLO_ERROR;
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

static int never_resume(SSL_SESSION *session)
{
    return SSL_SESSION_set1_id_context(session, never_resumed, sizeof(never_resumed));
}

/* shorten - let the session end before expiry
 *
 * A session's time-out counts whole seconds, and must not be 0: OpenSSL leaves that out of a
 * ticket, reads it back as 3, finds the ticket longer than announced and fails the handshake. */
static int shorten(SSL_SESSION *session, int64_t expiry)
{
    int64_t left = expiry - (int64_t)time(NULL) - 1;

    if (left < 1)
        return never_resume(session);
    if (left >= SSL_SESSION_get_timeout(session))
        return 1;
    return SSL_SESSION_set_timeout(session, (long)left) != 0;
}

/* session_expiry - the deadline of a session whose chain this connection did not verify */
static int64_t session_expiry(SSL *ssl, SSL_SESSION *session)
{
    const X509 *leaf = SSL_get0_peer_certificate(ssl); /* borrowed */
    void *data;                                        /* borrowed */
    size_t size;
    int64_t expiry;

    if (SSL_SESSION_get0_ticket_appdata(session, &data, &size) && size == sizeof(expiry)) {
        memcpy(&expiry, data, sizeof(expiry));
        return expiry;
    }
    return leaf == NULL ? NO_EXPIRY : ccert_expiry(leaf);
}

/* on_new_ticket - before a TLS 1.3 ticket is made of the session, which no other thread sees yet.
 * (TLS 1.2 keeps a session's start, and ccert_session_limit has seen it.) */
static int on_new_ticket(SSL *ssl, void *arg)
{
    SSL_SESSION *session = SSL_get_session(ssl);                     /* borrowed */
    const ccert_connection *connection = ccert_connection_get0(ssl); /* borrowed */
    int64_t expiry;

    (void)arg;
    if (session == NULL || connection == NULL)
        return 0;
    if (SSL_version(ssl) < TLS1_3_VERSION || connection->generation == 0)
        return 1;
    if (!name_kept(ssl, connection))
        return 0;
    expiry = connection->verified ? connection->expiry : session_expiry(ssl, session);
    return SSL_SESSION_set1_ticket_appdata(session, &expiry, sizeof(expiry))
           && shorten(session, expiry);
}

/* ccert_session_limit - called by the verify callback: what may become of this session?
 *
 * With TLS 1.3 the session may be in use elsewhere (post-handshake authentication), so it is left
 * alone: its tickets are yet to come.  With TLS 1.2 it is this handshake's own; without an id it
 * does not get into the cache.
 */
int ccert_session_limit(SSL *ssl, const ccert_connection *connection, bool keep)
{
    SSL_SESSION *session; /* borrowed */

    if (SSL_version(ssl) >= TLS1_3_VERSION)
        return keep ? 1 : SSL_set_num_tickets(ssl, 0);
    session = SSL_get_session(ssl);
    if (session == NULL)
        return 0;
    if (keep)
        return shorten(session, connection->expiry);
    return never_resume(session) && SSL_SESSION_set1_id(session, never_resumed, 0);
}

int ccert_session_configure(SSL_CTX *ctx, ccert_context *context)
{
    size_t num_tickets = SSL_CTX_get_num_tickets(ctx);

    if (!SSL_CTX_set_session_ticket_cb(ctx, on_new_ticket, NULL, context))
        return 0;
    if (num_tickets > 1 && !SSL_CTX_set_num_tickets(ctx, 1))
        return 0;
    SSL_CTX_set_client_hello_cb(ctx, on_client_hello, context);
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
    SSL_CTX_sess_set_cache_size(ctx, context->saved_cache_size);
    if (SSL_CTX_get_num_tickets(ctx) != 1) /* somebody has chosen since */
        return 1;
    return SSL_CTX_set_num_tickets(ctx, context->saved_num_tickets);
}

void ccert_session_flush(SSL_CTX *ctx)
{
#if OPENSSL_VERSION_PREREQ(3, 4)
    SSL_CTX_flush_sessions_ex(ctx, 0); /* 0: whatever their time-out */
#else
    SSL_CTX_flush_sessions(ctx, 0);
#endif
}
