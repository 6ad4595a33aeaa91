# Compile options that every target shares. Not -Wnon-virtual-dtor: it objects to every
# category derived from boost::system::error_category; -Wdelete-non-virtual-dtor is part of -Wall. Not
# -Wmissing-field-initializers: designated initialisers leave the rest to its defaults on purpose. Not
# -Wmismatched-new-delete: GCC 12 finds a mismatch in inlined coroutine frames of Asio; there is none.
add_library(narrowlink_options INTERFACE)
target_compile_options(narrowlink_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wswitch-enum
  -Wno-missing-field-initializers -Wno-mismatched-new-delete
  -ffunction-sections -fdata-sections)
target_link_options(narrowlink_options INTERFACE -Wl,--gc-sections)
# Warnings are errors, but not under sanitizers: their instrumentation makes GCC's data-flow warnings
# see what is not there.
if(NOT NARROWLINK_SANITIZE)
  target_compile_options(narrowlink_options INTERFACE -Werror)
else()
  target_compile_options(narrowlink_options INTERFACE
    -fsanitize=${NARROWLINK_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(narrowlink_options INTERFACE -fsanitize=${NARROWLINK_SANITIZE})
endif()
if(NARROWLINK_FUZZ)
  target_compile_options(narrowlink_options INTERFACE -fsanitize=fuzzer-no-link)
endif()

# narrowlink_room(NAME [ROOMS room...] [LIBRARIES target...] [WITHOUT source...] [COROUTINES])
#
# A room is src/NAME (private) and include/narrowlink/NAME (what others may use), one target
# narrowlink_NAME. tools/check_layers.py checks that its includes stay inside ROOMS. COROUTINES: its
# sources use Asio, whose headers cost more than the code; they are compiled once for all of them.
# WITHOUT: sources in its folder that this build leaves out.
function(narrowlink_room name)
  cmake_parse_arguments(room "COROUTINES" "" "ROOMS;LIBRARIES;WITHOUT" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${name}/*.cpp)
  if(room_WITHOUT)
    list(TRANSFORM room_WITHOUT PREPEND ${PROJECT_SOURCE_DIR}/src/${name}/)
    list(REMOVE_ITEM sources ${room_WITHOUT})
  endif()
  set(target narrowlink_${name})
  if(sources)
    add_library(${target} STATIC ${sources})
    set(scope PUBLIC)
    target_link_libraries(${target} PRIVATE narrowlink_options)
    if(room_COROUTINES AND name STREQUAL "io")
      target_precompile_headers(${target} PRIVATE
        ${PROJECT_SOURCE_DIR}/include/narrowlink/io/asio.hpp <boost/asio/co_spawn.hpp>
        <boost/asio/deferred.hpp> <boost/asio/experimental/parallel_group.hpp> <fmt/format.h>)
    elseif(room_COROUTINES)
      target_precompile_headers(${target} REUSE_FROM narrowlink_io)
    endif()
  else()
    add_library(${target} INTERFACE)
    set(scope INTERFACE)
  endif()
  target_include_directories(${target} ${scope} ${PROJECT_SOURCE_DIR}/include)
  list(TRANSFORM room_ROOMS PREPEND narrowlink_)
  target_link_libraries(${target} ${scope} ${room_ROOMS} ${room_LIBRARIES} Boost::headers fmt::fmt)
endfunction()
