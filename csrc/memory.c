/* memory - is it the client's certificate that failed, or our memory?
 *
 * X509_verify_cert() rarely tells.  If an allocation fails while it looks for an issuer or checks a
 * signature, it mostly reports that there is no issuer, or that the signature is wrong.  The error
 * queue may say more (ERR_R_MALLOC_FAILURE), but in half of the cases OpenSSL has dropped that
 * entry, or libssl could not decode all of the certificate before it called us.  What remains is
 * that malloc() has set errno to ENOMEM, which it also does when it finds memory at the second
 * attempt.  So these are grounds for suspicion.  A certificate under suspicion is decoded and
 * verified once more: without memory that cannot succeed, and with memory it fails again for the
 * same reason.
 */
#include "internal.h"

#include <errno.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

static bool is_of_memory(unsigned long entry)
{
    return ERR_GET_REASON(entry) == ERR_R_MALLOC_FAILURE;
}

/* ccert_memory_watch - begin to watch; libssl has set errno to 0 and emptied the error queue when
 * it went on with the handshake, so both tell of the decoding of the certificate, too */
ccert_watch ccert_memory_watch(void)
{
    return (ccert_watch){.newest = ERR_peek_last_error(), .suspicion = errno == ENOMEM};
}

/* ccert_queue_tells_of_memory - do entries that are newer than the newest one was, before?
 *
 * The queue was empty (before is 0) except in odd cases, because libssl empties it whenever it goes
 * on with a handshake: then this takes all entries.  Otherwise it takes none, and looks at the
 * newest only: OpenSSL 3.0 does not show the others without taking the old ones. */
bool ccert_queue_tells_of_memory(unsigned long before)
{
    unsigned long entry = ERR_peek_last_error();
    bool found = false;

    if (before != 0)
        return entry != before && is_of_memory(entry);
    while ((entry = ERR_get_error()) != 0)
        found = found || is_of_memory(entry);
    return found;
}

/* copy_all - decoded anew: what OpenSSL caches in a certificate may lack what there was no memory
 * for.  NULL: no memory. */
static STACK_OF(X509) * copy_all(const STACK_OF(X509) * certificates)
{
    STACK_OF(X509) *copies = sk_X509_new_null();

    for (int i = 0; copies != NULL && i < sk_X509_num(certificates); i++) {
        X509 *copy = X509_dup(sk_X509_value(certificates, i));

        if (copy == NULL || sk_X509_push(copies, copy) <= 0) {
            X509_free(copy);
            sk_X509_pop_free(copies, X509_free);
            copies = NULL;
        }
    }
    return copies;
}

/* verify_again - as was verified before; -1: no memory, else an X509_V_... */
static int verify_again(X509_STORE_CTX *first, bool setting, X509 *leaf, STACK_OF(X509) * sent)
{
    const int index = SSL_get_ex_data_X509_STORE_CTX_idx();
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(first); /* borrowed */
    X509_STORE_CTX *again = X509_STORE_CTX_new();
    bool swapped = false;
    int error = -1;

    if (again != NULL && X509_STORE_CTX_init(again, X509_STORE_CTX_get0_store(first), leaf, sent)
        && X509_VERIFY_PARAM_set1(X509_STORE_CTX_get0_param(again), param)
        && X509_STORE_CTX_set_ex_data(again, index, X509_STORE_CTX_get_ex_data(first, index))) {
        X509_STORE_CTX_set_verify_cb(again, X509_STORE_CTX_get_verify_cb(first));
        error = ccert_verify(again, setting, &swapped) > 0 ? X509_V_OK
                                                           : X509_STORE_CTX_get_error(again);
    }
    X509_STORE_CTX_free(again);
    return error;
}

static bool fails_again(X509_STORE_CTX *sc, bool setting)
{
    X509 *leaf = X509_STORE_CTX_get0_cert(sc), *copy; /* borrowed; NULL: a raw public key */
    STACK_OF(X509) * sent;
    bool same;

    if (leaf == NULL)
        return true;
    copy = X509_dup(leaf);
    sent = copy_all(X509_STORE_CTX_get0_untrusted(sc));
    same = copy != NULL && sent != NULL
           && verify_again(sc, setting, copy, sent) == X509_STORE_CTX_get_error(sc);
    sk_X509_pop_free(sent, X509_free);
    X509_free(copy);
    return same;
}

/* ccert_memory_failed - and not the certificate?  Asked only after a verification that failed, and
 * only where that is forgiven.  setting: trust_server_ccerts */
bool ccert_memory_failed(const ccert_watch *watch, X509_STORE_CTX *sc, bool setting)
{
    bool suspicion = watch->suspicion || errno == ENOMEM;

    suspicion = ccert_queue_tells_of_memory(watch->newest) || suspicion;
    return suspicion && !fails_again(sc, setting);
}

/* strength - of the key, as security levels count it; 0: of an unknown kind, or decoded without
 * memory, which OpenSSL does not report */
static int strength(const X509 *certificate)
{
    const EVP_PKEY *key = X509_get0_pubkey(certificate); /* borrowed */

    return key == NULL ? 0 : EVP_PKEY_get_security_bits(key);
}

/* ccert_memory_decoded - has all of a certificate been decoded?  0: no memory */
int ccert_memory_decoded(const X509 *certificate)
{
    X509 *copy;
    int all;

    (void)ERR_set_mark();
    all = strength(certificate) > 0;
    if (!all) {
        copy = X509_dup(certificate);
        all = copy != NULL && strength(copy) == strength(certificate);
        X509_free(copy);
    }
    (void)ERR_pop_to_mark();
    if (!all)
        ERR_raise(ERR_LIB_X509, ERR_R_MALLOC_FAILURE);
    return all;
}

/* ccert_memory_sufficed - let OpenSSL read the extensions of a CA, which it does once and
 * remembers.  If a handshake were the first to need them, and had no memory, all certificates of
 * that CA would be refused until the process ends.  0: no memory, and the CA is of no use now. */
int ccert_memory_sufficed(X509 *anchor)
{
    uint32_t flags;
    X509 *copy;
    bool same;

    (void)ERR_set_mark();
    flags = X509_get_extension_flags(anchor); /* before the copy, which needs memory, too */
    copy = X509_dup(anchor);
    same = copy != NULL && X509_get_extension_flags(copy) == flags
           && strength(copy) == strength(anchor);
    X509_free(copy);
    (void)ERR_pop_to_mark();
    if (!same)
        ERR_raise(ERR_LIB_X509, ERR_R_MALLOC_FAILURE);
    return same;
}

int ccert_memory_sufficed_for_all(X509_STORE *store)
{
    STACK_OF(X509) *anchors = X509_STORE_get1_all_certs(store);
    int enough = anchors != NULL;

    for (int i = 0; enough && i < sk_X509_num(anchors); i++)
        enough = ccert_memory_sufficed(sk_X509_value(anchors, i));
    sk_X509_pop_free(anchors, X509_free);
    return enough;
}
