#pragma once

#include "narrowlink/base/failure.hpp"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace narrowlink::test {

/// How a program would end, and what it would say about it.
struct Ending {
    std::optional<ExitCode> code; ///< empty: it goes on
    std::string sentence;
};

/// `parse` is one of the three parse_command_line(). `words` are without the program's name.
template <class Parse>
Ending ending_of(Parse parse, std::vector<const char*> words)
{
    words.insert(words.begin(), "program");
    Ending ending;
    testing::internal::CaptureStderr();
    testing::internal::CaptureStdout();
    try {
        const auto parsed = parse(static_cast<int>(words.size()), words.data());
        if (const auto* code = std::get_if<ExitCode>(&parsed))
            ending.code = *code;
    } catch (const Failure& failure) {
        ending = {failure.code(), failure.what()};
    }
    ending.sentence += testing::internal::GetCapturedStdout();
    ending.sentence += testing::internal::GetCapturedStderr();
    return ending;
}

/// How `action` ends.
template <class Action>
Ending ending_of(Action action)
{
    try {
        action();
    } catch (const Failure& failure) {
        return {failure.code(), failure.what()};
    }
    return {};
}

/// What the command line says. Requires: it is right.
template <class Parse>
auto parsed(Parse parse, std::vector<const char*> words)
{
    words.insert(words.begin(), "program");
    return std::get<0>(parse(static_cast<int>(words.size()), words.data()));
}

} // namespace narrowlink::test
