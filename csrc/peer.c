/* peer - gather everything about a finished handshake, once, into a struct of its own.
 *
 * Signature details follow Postfix (tls_misc.c of 3.10), so that log lines compare equal.  Leaves
 * an empty error queue: inspecting a malformed certificate must not affect another connection of
 * this thread.
 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/objects.h>

static void copy(char *out, size_t size, const char *text)
{
    OPENSSL_strlcpy(out, text == NULL ? "" : text, size);
}

/* -- chain and verdict -- */

static int add_certificate(const X509 *certificate, ccert_peer *peer)
{
    unsigned char *der = NULL;
    int size = i2d_X509(certificate, &der);

    if (size <= 0)
        return 0;
    peer->der[peer->certificates] = der;
    peer->der_size[peer->certificates++] = size;
    return 1;
}

/* gather_chain - on a server, SSL_get_peer_cert_chain() omits the leaf */
static int gather_chain(SSL *ssl, const X509 *leaf, ccert_peer *peer)
{
    const STACK_OF(X509) *others = SSL_get_peer_cert_chain(ssl); /* borrowed */
    size_t count = (size_t)(others == NULL ? 0 : sk_X509_num(others)) + 1;

    peer->der = calloc(count, sizeof(*peer->der));
    peer->der_size = calloc(count, sizeof(*peer->der_size));
    if (peer->der == NULL || peer->der_size == NULL || !add_certificate(leaf, peer))
        return 0;
    for (int i = 0; i < (int)count - 1; i++)
        if (!add_certificate(sk_X509_value(others, i), peer))
            return 0;
    return 1;
}

/* Resumption skips the verify callback, but the id context ensures that the session was made under
 * the policy that answered this ClientHello (session.c), so the leaf shows what was decided. */
static bool trusted_as_server(SSL *ssl, X509 *leaf, const ccert_connection *connection)
{
    if (connection->verified)
        return connection->swapped;
    return SSL_session_reused(ssl) && connection->trust_server_ccerts
           && ccert_lists_server_only(leaf);
}

/* Without a certificate, SSL_get_verify_result() returns X509_V_OK, which does not mean trust. */
static int gather_verdict(SSL *ssl, const ccert_connection *connection, ccert_peer *peer)
{
    X509 *leaf = SSL_get0_peer_certificate(ssl); /* borrowed */
    int depth = connection->verified ? connection->error_depth : -1;
    bool as_server = leaf != NULL && trusted_as_server(ssl, leaf, connection);

    if (connection->verified)
        copy(peer->error_issuer, sizeof(peer->error_issuer), connection->error_issuer);
    peer->observed = leaf != NULL && connection->observe;
    if (leaf != NULL && !gather_chain(ssl, leaf, peer))
        return 0;
    return ccert_verdict_tell(leaf, SSL_get_verify_result(ssl), depth, as_server, &peer->verdict);
}

/* -- protocol -- */

/* signature - describe a signature made with this key; nid: of its digest */
static void signature(const EVP_PKEY *key, int nid, ccert_signature *out)
{
    int id = key == NULL ? NID_undef : EVP_PKEY_get_id(key);

    if (id == NID_undef)
        return;
    if (id == EVP_PKEY_RSA) {
        copy(out->name, sizeof(out->name), "RSA-PSS"); /* TLS 1.3 has no other for RSA */
        out->bits = EVP_PKEY_get_bits(key);
    } else if (id == EVP_PKEY_EC) {
        copy(out->name, sizeof(out->name), "ECDSA");
        if (!EVP_PKEY_get_group_name(key, out->curve, sizeof(out->curve), NULL))
            out->curve[0] = 0;
    } else if (id == EVP_PKEY_KEYMGMT)
        copy(out->name, sizeof(out->name), EVP_PKEY_get0_type_name(key));
    else
        copy(out->name, sizeof(out->name), OBJ_nid2sn(EVP_PKEY_type(id)));
    if (nid != NID_undef) /* Ed25519, Ed448: no separate digest */
        copy(out->digest, sizeof(out->digest), OBJ_nid2sn(nid));
}

/* gather_tls13 - in TLS 1.2, the cipher name has the key exchange; resumption uses no signature */
static void gather_tls13(SSL *ssl, ccert_peer *peer)
{
    const X509 *leaf = SSL_get0_peer_certificate(ssl); /* borrowed */
    int nid;

#if OPENSSL_VERSION_PREREQ(3, 2)
    copy(peer->key_exchange, sizeof(peer->key_exchange), SSL_get0_group_name(ssl));
#else
    copy(peer->key_exchange, sizeof(peer->key_exchange),
         SSL_group_to_name(ssl, (int)SSL_get_negotiated_group(ssl)));
#endif
    if (!SSL_session_reused(ssl)) {
        if (!SSL_get_signature_nid(ssl, &nid))
            nid = NID_undef;
        signature(SSL_get_privatekey(ssl), nid, &peer->server_signature);
    }
    if (leaf == NULL || peer->resumed)
        return;
    if (!SSL_get_peer_signature_nid(ssl, &nid))
        nid = NID_undef;
    signature(X509_get0_pubkey(leaf), nid, &peer->client_signature);
}

/* gather_protocol - the session keeps the server name only if an sni_callback accepted it.  If the
 * client authenticated after resumption (post-handshake), the verdict is this connection's own. */
static void gather_protocol(SSL *ssl, const ccert_connection *connection, ccert_peer *peer)
{
    const SSL_CIPHER *cipher = SSL_get_current_cipher(ssl); /* borrowed */

    peer->resumed = SSL_session_reused(ssl) && !connection->verified;
    peer->protocol = SSL_get_version(ssl);
    peer->cipher = SSL_CIPHER_get_name(cipher);
    peer->cipher_bits = SSL_CIPHER_get_bits(cipher, &peer->cipher_algorithm_bits);
    copy(peer->server_name, sizeof(peer->server_name),
         SSL_SESSION_get0_hostname(SSL_get_session(ssl)));
    if (SSL_version(ssl) >= TLS1_3_VERSION)
        gather_tls13(ssl, peer);
}

/* -- what Python calls -- */

/* is_finished - is the handshake over?  SSL_is_init_finished() returns 0 again while a KeyUpdate or
 * another post-handshake message has been read only in part.  Of the states' numbers, only those of
 * the first few are the same in all versions, and our headers may be older than the library: 3.2
 * changed them. */
static bool is_finished(const SSL *ssl)
{
    const char *state = SSL_state_string(ssl); /* static */

    return SSL_get_state(ssl) == TLS_ST_OK || strcmp(state, "TRCKU") == 0
           || strcmp(state, "TWSKU") == 0; /* reads or writes a KeyUpdate */
}

static enum ccert_peer_result readiness(const ccert_connection *connection)
{
    if (connection == NULL)
        return CCERT_PEER_UNKNOWN;
    if (connection->refused)
        return CCERT_PEER_REFUSED;
    if (!is_finished(connection->ssl))
        return CCERT_PEER_HANDSHAKING;
    return SSL_get_shutdown(connection->ssl) & SSL_SENT_SHUTDOWN ? CCERT_PEER_CLOSED
                                                                 : CCERT_PEER_OK;
}

enum ccert_peer_result ccert_peer_new(uintptr_t object, ccert_peer **out)
{
    const ccert_connection *connection = ccert_registry_get0(object); /* borrowed */
    enum ccert_peer_result result = readiness(connection);
    ccert_peer *peer;

    *out = NULL;
    if (result != CCERT_PEER_OK)
        return result;
    peer = calloc(1, sizeof(*peer));
    if (peer == NULL)
        return CCERT_PEER_ERROR;
    ERR_clear_error(); /* as libssl does before a handshake: what is there is of no call of ours */
    if (!gather_verdict(connection->ssl, connection, peer)) {
        ccert_peer_free(peer);
        return CCERT_PEER_ERROR;
    }
    gather_protocol(connection->ssl, connection, peer);
    if (ccert_queue_tells_of_memory(0)) { /* takes a malformed certificate's errors, too */
        ccert_peer_free(peer);
        return CCERT_PEER_ERROR;
    }
    *out = peer;
    return CCERT_PEER_OK;
}

void ccert_peer_free(ccert_peer *peer)
{
    if (peer == NULL)
        return;
    for (int i = 0; i < peer->certificates; i++)
        OPENSSL_free(peer->der[i]);
    free(peer->der);
    free(peer->der_size);
    ccert_verdict_clear(&peer->verdict);
    free(peer);
}

/* ccert_decoding_begin - before ssl decodes a peer's certificate
 *
 * Python promises that a certificate that it returns has been verified; with "ask" it may not be.
 * With an empty queue there is nothing to mark, and popping to the mark empties the queue, as
 * intended.  So neither return value needs checking. */
int ccert_decoding_begin(uintptr_t object, int verified)
{
    const ccert_connection *connection = ccert_registry_get0(object); /* borrowed */

    (void)ERR_set_mark();
    return connection == NULL
           || (!connection->refused
               && (!verified || SSL_get_verify_result(connection->ssl) == X509_V_OK));
}

void ccert_decoding_end(void)
{
    (void)ERR_pop_to_mark();
}
