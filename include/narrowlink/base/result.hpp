#pragma once

#include <boost/system/error_code.hpp>
#include <boost/system/result.hpp>

namespace narrowlink {

using ErrorCode = boost::system::error_code;

/// A value, or the error_code that says why there is none.
/// value() throws boost::system::system_error, so a coroutine may simply call it.
template <class T = void>
using Result = boost::system::result<T, ErrorCode>;

} // namespace narrowlink
