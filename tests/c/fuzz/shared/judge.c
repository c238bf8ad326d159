/* judge - as "openssl verify -purpose sslclient" or "... sslserver" would: OpenSSL's own store and
 * parameters, certificates decoded anew, nothing of ccert. */
#include "fuzz.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

/* judge_lists_server_only - by the OIDs of the decoded extension, not by OpenSSL's cache */
bool judge_lists_server_only(const X509 *leaf)
{
    bool server = false, client = false;
    EXTENDED_KEY_USAGE *eku = X509_get_ext_d2i(leaf, NID_ext_key_usage, NULL, NULL);

    for (int i = 0; i < sk_ASN1_OBJECT_num(eku); i++) {
        int nid = OBJ_obj2nid(sk_ASN1_OBJECT_value(eku, i));

        server |= nid == NID_server_auth;
        client |= nid == NID_client_auth;
    }
    EXTENDED_KEY_USAGE_free(eku);
    ERR_clear_error();
    return server && !client;
}

static STACK_OF(X509) * decode(const octets *sent, int count)
{
    STACK_OF(X509) *decoded = sk_X509_new_null();

    for (int i = 0; i < count; i++) {
        const unsigned char *at = sent[i].data;
        X509 *one = d2i_X509(NULL, &at, (long)sent[i].size);

        must(decoded != NULL && one != NULL && sk_X509_push(decoded, one) > 0, "decode a chain");
    }
    return decoded;
}

judgement judge_chain(X509_STORE *store, const octets *sent, int count, bool as_server, int depth,
                      int level, time_t at)
{
    STACK_OF(X509) *decoded = decode(sent, count);
    X509_STORE_CTX *sc = X509_STORE_CTX_new();
    X509_VERIFY_PARAM *param = X509_VERIFY_PARAM_new(); /* as app_verify's -purpose ... */
    judgement found;

    must(sc != NULL && param != NULL
             && X509_VERIFY_PARAM_set_purpose(param, as_server ? X509_PURPOSE_SSL_SERVER
                                                               : X509_PURPOSE_SSL_CLIENT),
         "set a purpose");
    X509_VERIFY_PARAM_set_depth(param, depth + 1); /* as Postfix, which counts otherwise */
    X509_VERIFY_PARAM_set_auth_level(param, level);
    X509_VERIFY_PARAM_set_time(param, at);
    must(X509_STORE_set1_param(store, param)
             && X509_STORE_CTX_init(sc, store, sk_X509_value(decoded, 0), decoded),
         "begin a verification");
    found.trusted = X509_verify_cert(sc) > 0;
    found.error = X509_STORE_CTX_get_error(sc);
    found.depth = X509_STORE_CTX_get_error_depth(sc);
    ERR_clear_error();
    X509_VERIFY_PARAM_free(param);
    X509_STORE_CTX_free(sc);
    sk_X509_pop_free(decoded, X509_free);
    return found;
}
