#include "narrowlink/gateway/command_line.hpp"

#include "narrowlink/config/parse.hpp"

#include <charconv>
#include <string_view>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

namespace narrowlink::gateway {
namespace {

Failure usage(const std::string& sentence)
{
    return {ExitCode::usage, sentence + "; see --help"};
}

/// One `key=value` behind a rule's target.
void apply_restriction(access::Rule& rule, std::string_view text, const std::string& whole)
{
    const std::size_t equals = text.find('=');
    const std::string_view key = text.substr(0, equals);
    const std::string_view value = equals == std::string_view::npos ? "" : text.substr(equals + 1);
    if (key == "agent" && access::is_valid_name(value)) {
        rule.agent = value;
        return;
    }
    std::uint16_t port = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), port);
    if (key == "port" && error == std::errc{} && end == value.data() + value.size() && port != 0) {
        rule.port = port;
        return;
    }
    if (key == "protocol" && (value == "tcp" || value == "udp")) {
        rule.protocol = value == "tcp" ? access::Protocol::tcp : access::Protocol::udp;
        return;
    }
    throw usage(fmt::format("--rule {}: \"{}\" is none of port=1…65535, protocol=tcp, "
                            "protocol=udp, agent=NAME",
                            whole, text));
}

/// `ip:PREFIX` or `domain:PATTERN`, then `,port=N`, `,protocol=tcp|udp`, `,agent=NAME`.
access::Rule parse_rule(const std::string& whole)
{
    std::string_view rest = whole;
    const auto next = [&rest] {
        const std::size_t comma = rest.find(',');
        const std::string_view part = rest.substr(0, comma);
        rest = comma == std::string_view::npos ? "" : rest.substr(comma + 1);
        return part;
    };
    access::Rule rule;
    const std::string_view target = next();
    if (target.starts_with("ip:")) {
        const auto prefix = IpPrefix::parse(target.substr(3));
        if (!prefix)
            throw usage(fmt::format("--rule {}: \"{}\" is no address block such as 10.0.0.0/8",
                                    whole, target.substr(3)));
        rule.target = *prefix;
    } else if (target.starts_with("domain:") && target.size() > 7) {
        rule.target = std::string{target.substr(7)};
    } else {
        throw usage(fmt::format("--rule {}: expected ip:PREFIX or domain:PATTERN first", whole));
    }
    while (!rest.empty())
        apply_restriction(rule, next(), whole);
    return rule;
}

/// The arguments of `token agent|client|policy` as they were typed.
struct IssueArguments {
    IssueCommand command;
    std::string expires;
    std::string type = "white";
    std::vector<std::string> rules;
};

void add_issue_options(CLI::App& app, IssueArguments& arguments)
{
    app.add_option("--name", arguments.command.name, "Its name, unique within its user space")
        ->required();
    app.add_option("--user", arguments.command.user,
                   "The user space: clients see only agents of their own")
        ->capture_default_str();
    app.add_option("--expires", arguments.expires, "How long it is valid, e.g. 12h or 90d")
        ->default_str("90d");
}

IssueCommand make_issue(IssueArguments& arguments, access::TokenKind kind)
{
    IssueCommand command = std::move(arguments.command);
    command.kind = kind;
    for (const auto& [option, name] :
         {std::pair{"--name", &command.name}, std::pair{"--user", &command.user}})
        if (!access::is_valid_name(*name))
            throw usage(fmt::format("{} \"{}\": expected 1 to 64 letters, digits and . _ - @ +, "
                                    "beginning with a letter or digit",
                                    option, *name));
    if (!arguments.expires.empty()) {
        const auto duration = config::parse_duration(arguments.expires);
        if (!duration || *duration < std::chrono::seconds{1})
            throw usage(fmt::format("--expires \"{}\": expected a duration such as 12h or 90d",
                                    arguments.expires));
        command.expires_after = *duration;
    }
    command.policy.type = arguments.type == "black" ? access::Policy::Type::black_list
                                                    : access::Policy::Type::white_list;
    for (const std::string& rule : arguments.rules)
        command.policy.rules.push_back(parse_rule(rule));
    return command;
}

std::optional<HostPort> parse_public(const std::string& text)
{
    if (text.empty())
        return std::nullopt;
    auto address = HostPort::parse(text);
    if (!address)
        throw usage(
            fmt::format("--public \"{}\": expected HOST:PORT, such as gateway.example:443", text));
    return *address;
}

} // namespace

std::variant<CommandLine, ExitCode> parse_command_line(int argc, const char* const* argv)
{
    CommandLine line;
    CLI::App app{"Lets clients reach agents behind NAT. Without a command it runs the gateway.",
                 "narrowlink-gateway"};
    program::add_common_options(app, line.common);
    app.fallthrough(); // common options may stand behind the command, too
    std::string listen, public_address;
    app.add_option("--listen", listen,
                   "Where to listen for HTTPS; default: [::]:443, or [::]:8443 without the right")
        ->type_name("ADDR:PORT");
    app.add_option("--public", public_address,
                   "How nodes reach the gateway, written into join strings; default: this machine's "
                   "address and the port")
        ->type_name("HOST:PORT");

    auto* token = app.add_subcommand("token", "Issue, list and revoke tokens");
    token->require_subcommand(1);
    IssueArguments issue;
    auto* agent = token->add_subcommand("agent", "Print a join string for an agent");
    add_issue_options(*agent, issue);
    auto* client = token->add_subcommand("client", "Print a join string for a client");
    add_issue_options(*client, issue);
    client->add_option("--policy", issue.command.policy_tokens,
                       "A policy token the client is bound to; may be repeated");
    auto* policy = token->add_subcommand("policy", "Print a policy token, for `token client`");
    add_issue_options(*policy, issue);
    policy->add_option("--id", issue.command.policy.id, "Its number; default: a random one")
        ->check(CLI::Range(std::uint64_t{1}, (std::uint64_t{1} << 53) - 1));
    policy->add_option("--type", issue.type, "white allows what a rule names, black denies it")
        ->check(CLI::IsMember({"white", "black"}))
        ->capture_default_str();
    policy
        ->add_option("--rule", issue.rules,
                     "ip:PREFIX or domain:PATTERN, then ,port=N ,protocol=tcp|udp ,agent=NAME; "
                     "may be repeated")
        ->required();
    ListTokensCommand list;
    auto* list_command = token->add_subcommand("list", "Show the tokens issued");
    list_command->add_flag("--json", list.json, "As JSON");
    RevokeCommand revoke;
    auto* revoke_command = token->add_subcommand("revoke", "Take a token back, at once");
    revoke_command->add_option("ID", revoke.id, "As `token list` shows it")->required();

    if (const auto code = program::parse(app, argc, argv))
        return *code;
    if (*token && !listen.empty())
        throw usage("--listen is for running the gateway, not for `token`; the address in a join "
                    "string is chosen with --public");
    const auto reached = parse_public(public_address);
    issue.command.public_address = reached;
    if (*agent)
        line.command = make_issue(issue, access::TokenKind::agent);
    else if (*client)
        line.command = make_issue(issue, access::TokenKind::client);
    else if (*policy)
        line.command = make_issue(issue, access::TokenKind::policy);
    else if (*list_command)
        line.command = list;
    else if (*revoke_command)
        line.command = revoke;
    else {
        RunCommand run;
        if (!listen.empty() && !(run.listen = config::parse_socket_address(listen)))
            throw usage(fmt::format("--listen \"{}\": expected ADDRESS:PORT, such as 0.0.0.0:443",
                                    listen));
        run.public_address = reached;
        line.command = run;
    }
    return line;
}

} // namespace narrowlink::gateway
