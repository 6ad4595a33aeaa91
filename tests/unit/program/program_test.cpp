#include "narrowlink/program/program.hpp"

#include "narrowlink/config/client_config.hpp"

#include "../io/temporary_directory.hpp"
#include "ending.hpp"
#include "support/seeded_random.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

namespace narrowlink::program {
namespace {

using testing::HasSubstr;

constexpr UnixTime now{std::chrono::seconds{1'800'000'000}};

struct NodeIdentity : testing::Test {
    crypto::Identity open() { return node_identity(directory.path(), now, random); }

    test::TemporaryDirectory directory;
    SeededRandom random{1};
};

TEST_F(NodeIdentity, IsMadeOnceAndStaysTheSame)
{
    const crypto::Identity made = open();
    const crypto::Identity again = open();
    EXPECT_EQ(again.pin, made.pin);
    EXPECT_EQ(again.private_key_pem, made.private_key_pem);
    EXPECT_EQ(directory.mode("identity-key.pem"), 0600U);
    EXPECT_EQ(directory.mode("identity-cert.pem"), 0600U);
}

TEST_F(NodeIdentity, IsAnotherInEveryStateDirectory)
{
    const test::TemporaryDirectory elsewhere;
    EXPECT_NE(node_identity(elsewhere.path(), now, random).pin, open().pin);
}

TEST_F(NodeIdentity, IsNotReplacedWhenItIsDamaged)
{
    open();
    const std::string key = directory.get("identity-key.pem");
    directory.put("identity-cert.pem", "damaged");
    const auto ending = test::ending_of([&] { open(); });
    EXPECT_EQ(ending.code, ExitCode::configuration);
    EXPECT_THAT(ending.sentence, HasSubstr("identity-key.pem"));
    EXPECT_THAT(ending.sentence, HasSubstr("remove"));
    EXPECT_EQ(directory.get("identity-key.pem"), key);
}

TEST_F(NodeIdentity, DoesNotTakeTheKeyOfAnother)
{
    open();
    const test::TemporaryDirectory elsewhere;
    node_identity(elsewhere.path(), now, random);
    directory.put("identity-key.pem", elsewhere.get("identity-key.pem"));
    EXPECT_EQ(test::ending_of([&] { open(); }).code, ExitCode::configuration);
}

TEST_F(NodeIdentity, NeedsItsDirectory)
{
    const auto ending =
        test::ending_of([&] { node_identity(directory.path() / "missing", now, random); });
    EXPECT_EQ(ending.code, ExitCode::configuration);
}

TEST(OpenState, MakesAPrivateDirectory)
{
    const test::TemporaryDirectory directory;
    const auto state = open_state("agent", directory.path() / "a/b", {});
    EXPECT_EQ(state, directory.path() / "a/b");
    EXPECT_EQ(directory.mode("a/b"), 0700U);
    const config::Located<std::filesystem::path> configured{directory.path() / "c",
                                                            "agent.yaml:1:8: state"};
    EXPECT_EQ(open_state("agent", {}, configured), directory.path() / "c");
    EXPECT_EQ(open_state("agent", directory.path() / "d", configured), directory.path() / "d");
    EXPECT_TRUE(
        open_state("agent", std::filesystem::relative(directory.path() / "e"), {}).is_absolute())
        << "a daemon changes its directory";
}

TEST(OpenState, SaysWhichDirectoryCannotBeUsed)
{
    const test::TemporaryDirectory directory;
    const auto file = directory.put("file", "");
    const auto ending = test::ending_of([&] { open_state("agent", file, {}); });
    EXPECT_EQ(ending.code, ExitCode::configuration);
    EXPECT_THAT(ending.sentence, HasSubstr(file.string()));
    EXPECT_THAT(ending.sentence, HasSubstr("--state"));
}

struct Run : testing::Test {
    int ending_of(const std::function<ExitCode()>& body)
    {
        testing::internal::CaptureStderr();
        const int code = run("narrowlink-x", body);
        said = testing::internal::GetCapturedStderr();
        return code;
    }

    std::string said;
};

TEST_F(Run, EndsWithTheCodeOfItsBody)
{
    EXPECT_EQ(ending_of([] { return ExitCode::success; }), 0);
    EXPECT_EQ(ending_of([] { return ExitCode::usage; }), 2);
    EXPECT_EQ(said, "");
}

TEST_F(Run, SaysWhatFailedInOneSentence)
{
    EXPECT_EQ(ending_of([]() -> ExitCode {
                  throw Failure{ExitCode::target_unreachable, "no way"};
              }),
              13);
    EXPECT_EQ(said, "narrowlink-x: no way\n");
    EXPECT_EQ(ending_of([]() -> ExitCode { throw std::runtime_error{"a defect"}; }), 1);
    EXPECT_EQ(said, "narrowlink-x: a defect\n");
    EXPECT_EQ(ending_of([]() -> ExitCode { throw Failure{ExitCode::configuration, ""}; }), 3);
    EXPECT_EQ(said, "") << "it has been said already";
}

struct Configuration : testing::Test {
    [[nodiscard]] config::ClientConfig load(const std::filesystem::path& file) const
    {
        return load_configuration("client", file, config::load_client_config);
    }

    test::TemporaryDirectory directory;
};

TEST_F(Configuration, IsReadFromTheNamedFile)
{
    EXPECT_EQ(load(directory.put("my.yaml", "connect_timeout: 7s\n")).connect_timeout,
              std::chrono::seconds{7});
}

TEST_F(Configuration, ANamedFileMustBeThere)
{
    const auto ending = test::ending_of([&] { (void)load(directory.path() / "missing.yaml"); });
    EXPECT_EQ(ending.code, ExitCode::configuration);
    EXPECT_THAT(ending.sentence, HasSubstr("missing.yaml"));
}

TEST_F(Configuration, EveryProblemIsReportedAtItsPlace)
{
    const auto file = directory.put("my.yaml", "connect_timeout: soon\nnonsense: 1\n");
    testing::internal::CaptureStderr();
    const auto ending = test::ending_of([&] { (void)load(file); });
    const std::string said = testing::internal::GetCapturedStderr();
    EXPECT_EQ(ending.code, ExitCode::configuration);
    EXPECT_THAT(said, HasSubstr(file.string() + ":1:18: connect_timeout: "));
    EXPECT_THAT(said, HasSubstr(file.string() + ":2:1: nonsense: "));
}

} // namespace
} // namespace narrowlink::program
