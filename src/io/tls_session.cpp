// Theory of operation
//
// Goal: relayed packets through TLS at the cost of the cipher, and idle connections at the cost
// of OpenSSL's own state.
//
// Data flow
//   write  SSL_write seals records into `outgoing_` through a BIO that never blocks; flush() sends
//          them with one send(2). The block comes from a pool of the thread and goes back when the
//          kernel has taken everything. Small pieces are first gathered into one record. While
//          corked the records of up to four writes wait for each other.
//   read   OpenSSL reads ahead into its own 264 KiB buffer, so one recv(2) brings many records;
//          after a short recv(2) the socket is known to be empty (epoll(7)) and is not asked
//          again before the caller has waited for it.
//
// Measured against one send(2) per record, with and without MSG_MORE, and a receive buffer of our
// own: sending was 0.44 against 0.64 and 0.50 CPU s/GiB, receiving the same.
//
// Limits: 64 KiB of plain text per write; the records' overhead is bounded by `most_sealed_bytes`.

#include "tls_session.hpp"

#include <boost/asio/error.hpp>
#include <boost/asio/ssl/error.hpp>
#include <openssl/bio.h>
#include <openssl/err.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <span>
#include <sys/socket.h>
#include <vector>

namespace narrowlink::io {
namespace {

namespace net = boost::asio;

constexpr std::size_t record_bytes = 16'384; // RFC 8446 §5.1
constexpr std::size_t most_plain_bytes = 4 * record_bytes;
constexpr std::size_t most_sealed_bytes = most_plain_bytes + 12 * 344; // 12 records at worst, see write()
constexpr std::size_t block_bytes = 4 * most_sealed_bytes;
constexpr std::size_t blocks_kept = 4;

// Writes are short compared with the number of connections: a few blocks serve a whole thread.
thread_local std::vector<std::unique_ptr<std::byte[]>> spare_blocks;

std::unique_ptr<std::byte[]> take_block()
{
    if (spare_blocks.empty())
        return std::make_unique_for_overwrite<std::byte[]>(block_bytes);
    auto block = std::move(spare_blocks.back());
    spare_blocks.pop_back();
    return block;
}

void give_back(std::unique_ptr<std::byte[]> block)
{
    if (spare_blocks.size() < blocks_kept)
        spare_blocks.push_back(std::move(block));
}

ErrorCode system_error(int value)
{
    return {value, boost::system::system_category()};
}

} // namespace

/// OpenSSL's view of the session: reads come from the socket, writes go into the outgoing block.
struct TlsBio {
    static int write(BIO* bio, const char* bytes, int size)
    {
        TlsSession& session = *static_cast<TlsSession*>(BIO_get_data(bio));
        TlsSession::Outgoing& outgoing = session.outgoing_;
        BIO_clear_retry_flags(bio);
        if (!outgoing.block)
            outgoing = {take_block(), 0, 0};
        const auto room = block_bytes - outgoing.end;
        const auto n = std::min(room, static_cast<std::size_t>(size));
        if (n == 0) {
            BIO_set_retry_write(bio);
            return -1;
        }
        std::memcpy(outgoing.block.get() + outgoing.end, bytes, n);
        outgoing.end += n;
        return static_cast<int>(n);
    }

    static int read(BIO* bio, char* into, int size)
    {
        TlsSession& session = *static_cast<TlsSession*>(BIO_get_data(bio));
        BIO_clear_retry_flags(bio);
        if (!session.drained_) {
            const ssize_t n = ::recv(session.descriptor_, into, static_cast<std::size_t>(size), 0);
            if (n >= 0) {
                session.drained_ = n > 0 && n < size;
                return static_cast<int>(n);
            }
            if (errno != EAGAIN && errno != EINTR) {
                session.socket_error_ = errno;
                return -1;
            }
            session.drained_ = errno == EAGAIN;
        }
        BIO_set_retry_read(bio);
        return -1;
    }

    static long control(BIO*, int command, long, void*)
    {
        return command == BIO_CTRL_FLUSH ? 1 : 0;
    }

    static int create(BIO* bio)
    {
        BIO_set_init(bio, 1);
        return 1;
    }

    static const BIO_METHOD* method()
    {
        static const BIO_METHOD* const made = [] {
            BIO_METHOD* m =
                BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "narrowlink socket");
            BIO_meth_set_write(m, write);
            BIO_meth_set_read(m, read);
            BIO_meth_set_ctrl(m, control);
            BIO_meth_set_create(m, create);
            return m;
        }();
        return made;
    }
};

TlsSession::TlsSession(SslPointer ssl, int descriptor)
    : ssl_{std::move(ssl)}, descriptor_{descriptor}
{
    BIO* bio = BIO_new(TlsBio::method());
    if (bio == nullptr)
        throw std::bad_alloc{};
    BIO_set_data(bio, this);
    SSL_set_bio(ssl_.get(), bio, bio);
}

TlsSession::~TlsSession()
{
    release_outgoing();
}

Progress TlsSession::handshake()
{
    ERR_clear_error();
    const int outcome = SSL_do_handshake(ssl_.get());
    Progress stopped = outcome == 1 ? Progress{} : stopped_at(outcome);
    const Progress flushed = flush(); // also the alert that tells the peer why
    if (stopped.error)
        return stopped;
    if (flushed.error || flushed.need == Progress::Need::writable)
        return flushed; // even a finished handshake is not over before its last flight is sent
    return stopped;
}

Progress TlsSession::read(MutableBytes into)
{
    std::size_t size = 0;
    const bool writing = outgoing_.end > outgoing_.begin;
    while (size < into.size()) {
        std::size_t n = 0;
        ERR_clear_error();
        const int outcome = SSL_read_ex(ssl_.get(), into.data() + size, into.size() - size, &n);
        if (outcome == 1) {
            size += n;
            continue;
        }
        if (size > 0)
            break; // an error comes again with the next call
        const Progress stopped = stopped_at(outcome);
        if (!writing)
            flush(); // an alert; nobody would wait for it
        return stopped;
    }
    return {.bytes = size};
}

// Pieces under a record's size are copied together first, so that a frame header and a small
// message are one record; a large piece is sealed where it lies.
Progress TlsSession::write(std::span<const Bytes> pieces)
{
    if (failed_)
        return {.error = net::error::broken_pipe};
    if (outgoing_.end + most_sealed_bytes > block_bytes) {
        const Progress progress = flush();
        if (progress.error || progress.need == Progress::Need::writable)
            return progress; // with nothing accepted
    }
    std::array<std::byte, record_bytes> gathered;
    std::size_t fill = 0, accepted = 0;
    for (std::size_t i = 0; i < pieces.size() && accepted + fill < most_plain_bytes; ++i) {
        Bytes rest =
            pieces[i].first(std::min(pieces[i].size(), most_plain_bytes - accepted - fill));
        const bool alone = fill == 0 && (rest.size() >= record_bytes || i + 1 == pieces.size());
        if (!alone) {
            const std::size_t n = std::min(rest.size(), record_bytes - fill);
            std::copy_n(rest.begin(), n, gathered.begin() + static_cast<std::ptrdiff_t>(fill));
            fill += n;
            rest = rest.subspan(n);
            if (fill < record_bytes && i + 1 < pieces.size())
                continue;
            if (!seal(Bytes{gathered}.first(fill)))
                return stopped_at(0);
            accepted += fill;
            fill = 0;
        }
        if (!rest.empty() && !seal(rest))
            return stopped_at(0);
        accepted += rest.size();
    }
    if (fill > 0 && !seal(Bytes{gathered}.first(fill)))
        return stopped_at(0);
    Progress progress = corked_ ? Progress{} : flush();
    progress.bytes = accepted + fill;
    return progress;
}

bool TlsSession::seal(Bytes plain)
{
    std::size_t n = 0;
    ERR_clear_error();
    failed_ = SSL_write_ex(ssl_.get(), plain.data(), plain.size(), &n) != 1 || n != plain.size();
    return !failed_;
}

Progress TlsSession::flush()
{
    while (outgoing_.begin < outgoing_.end) {
        const ssize_t n = ::send(descriptor_, outgoing_.block.get() + outgoing_.begin,
                                 outgoing_.end - outgoing_.begin, MSG_NOSIGNAL);
        if (n >= 0) {
            outgoing_.begin += static_cast<std::size_t>(n);
            continue;
        }
        if (errno == EINTR)
            continue;
        if (errno == EAGAIN)
            return {.need = Progress::Need::writable};
        failed_ = true;
        const ErrorCode error = system_error(errno);
        release_outgoing();
        return {.error = error};
    }
    release_outgoing();
    return {};
}

void TlsSession::close_notify()
{
    if (failed_ || outgoing_.begin > 0 || SSL_in_init(ssl_.get()) != 0)
        return; // it would land in the middle of a record, or before there are keys
    ERR_clear_error();
    SSL_shutdown(ssl_.get());
    ERR_clear_error();
    flush();
}

long TlsSession::verify_result() const
{
    return SSL_get_verify_result(ssl_.get());
}

Progress TlsSession::stopped_at(int outcome)
{
    switch (SSL_get_error(ssl_.get(), outcome)) {
    case SSL_ERROR_WANT_READ: return {.need = Progress::Need::readable};
    case SSL_ERROR_WANT_WRITE: return {.need = Progress::Need::writable};
    case SSL_ERROR_ZERO_RETURN: return {.error = net::error::eof};
    case SSL_ERROR_SYSCALL:
        failed_ = true;
        if (socket_error_ != 0)
            return {.error = system_error(socket_error_)};
        return {.error = net::error::eof};
    default: {
        failed_ = true;
        const auto reason = static_cast<int>(ERR_peek_error());
        ERR_clear_error();
        return {.error = {reason, net::error::get_ssl_category()}};
    }
    }
}

void TlsSession::release_outgoing()
{
    if (outgoing_.block)
        give_back(std::move(outgoing_.block));
    outgoing_ = {};
}

} // namespace narrowlink::io
