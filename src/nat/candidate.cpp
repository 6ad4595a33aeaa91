#include "narrowlink/nat/candidate.hpp"

namespace narrowlink::nat {

std::string_view to_string(CandidateKind kind)
{
    switch (kind) {
    case CandidateKind::host_v6: return "host-v6";
    case CandidateKind::host: return "host";
    case CandidateKind::mapped: return "mapped";
    case CandidateKind::observed: return "observed";
    case CandidateKind::inside: return "inside";
    case CandidateKind::reflexive: return "reflexive";
    }
    return "";
}

std::optional<CandidateKind> parse_candidate_kind(std::string_view text)
{
    using enum CandidateKind;
    for (const CandidateKind kind : {host_v6, host, mapped, observed, inside, reflexive})
        if (text == to_string(kind))
            return kind;
    return std::nullopt;
}

} // namespace narrowlink::nat
