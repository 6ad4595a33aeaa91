#pragma once

#include "narrowlink/base/failure.hpp"
#include "narrowlink/base/port_mapping.hpp"
#include "narrowlink/control/message.hpp"
#include "narrowlink/io/web_socket.hpp"
#include "narrowlink/nat/behaviour.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace narrowlink::client {

/// What `doctor` has seen, without any judgement. What could not be looked at is empty.
struct DoctorFacts {
    /// One address of the gateway's name.
    struct Dialled {
        IpAddress ip;
        std::optional<Duration> took; ///< to connect
        std::string trouble;          ///< else
    };

    /// The answer to a request without a token: who is there, before anything is told to it.
    struct Door {
        std::optional<io::WebFailure> failure; ///< none: it speaks HTTP
        std::string sentence;
        std::optional<std::chrono::seconds> clock_ahead; ///< ours, of what its answer was dated
    };

    struct Session {
        std::string trouble; ///< empty: the gateway has accepted the token
        bool token_refused = false;
        std::string name, user;
        bool has_probe_service = false;
    };

    /// UDP to the gateway, in one address family.
    struct Probed {
        control::Family family = control::Family::v4;
        std::vector<SocketAddress> asked, answered;
        std::string nat; ///< as the gateway describes it
        std::optional<nat::Behaviour> behaviour;
        std::optional<IpAddress> seen; ///< from where the gateway sees this machine
    };

    struct Asked {
        PortMappingProtocol protocol = PortMappingProtocol::nat_pmp;
        std::optional<RouterAnswer> answer;
    };

    struct Router {
        PortMappingMode mode = PortMappingMode::automatic;
        std::optional<IpAddress> address; ///< none: there is none that could stand before a NAT
        std::vector<Asked> asked;
    };

    /// What the kernel knows of the path to the gateway.
    struct Path {
        std::optional<unsigned> mtu; ///< bytes, with the IP header
        std::string trouble;
    };

    std::optional<std::string> configuration_file;
    std::string configuration_trouble; ///< then nothing below is known
    std::string state;
    HostPort gateway;
    bool tls = true, pinned = false;
    std::optional<UnixTime> token_expires;
    UnixTime now{};
    std::vector<std::string> proxy_variables; ///< of the environment, that are set
    std::string name_trouble;
    std::vector<Dialled> dialled;
    std::optional<Door> door;
    std::optional<Session> session;
    std::vector<Probed> probed;
    std::optional<Router> router;
    std::optional<Path> path;
    std::optional<std::string> status_trouble; ///< empty text: the socket works
};

enum class Verdict : std::uint8_t {
    ok,
    warning, ///< works, but less well than it could
    failed,
    skipped, ///< something before it has failed
};

std::string_view to_string(Verdict);

struct Check {
    std::string name;
    Verdict verdict = Verdict::ok;
    std::string finding; ///< one sentence
    std::string remedy;  ///< one sentence; empty where nothing is to be done

    bool operator==(const Check&) const = default;
};

/// Always the same checks, in the same order, but for the families that were not probed.
std::vector<Check> judge(const DoctorFacts&);

/// The kinds of peers that a direct path can lead to from behind `own`, and the others, as two
/// halves of a sentence.
struct Reachable {
    std::vector<std::string_view> yes, no;
};

Reachable reachable_peers(const nat::Behaviour& own);

std::string render_text(const std::vector<Check>&);
/// An array of objects, one line.
std::string render_json(const std::vector<Check>&);

/// ExitCode::unhealthy if any check has failed.
ExitCode exit_code(const std::vector<Check>&);

} // namespace narrowlink::client
