# qw_proto(TARGET FILE.proto...): a static library of the generated protobuf and gRPC classes.
# Included as "FILE.pb.h" and "FILE.grpc.pb.h". Generated code is not held to our warnings.
function(qw_proto TARGET)
  set(out ${CMAKE_CURRENT_BINARY_DIR}/${TARGET})
  file(MAKE_DIRECTORY ${out})
  set(generated)
  foreach(file ${ARGN})
    get_filename_component(stem ${file} NAME_WE)
    get_filename_component(folder ${CMAKE_CURRENT_SOURCE_DIR}/${file} DIRECTORY)
    set(parts ${out}/${stem}.pb.cc ${out}/${stem}.pb.h ${out}/${stem}.grpc.pb.cc ${out}/${stem}.grpc.pb.h)
    add_custom_command(
      OUTPUT ${parts}
      COMMAND protobuf::protoc --proto_path=${folder} --cpp_out=${out} --grpc_out=${out}
              --plugin=protoc-gen-grpc=$<TARGET_FILE:gRPC::grpc_cpp_plugin> ${folder}/${stem}.proto
      DEPENDS ${folder}/${stem}.proto VERBATIM)
    list(APPEND generated ${parts})
  endforeach()
  add_library(${TARGET} STATIC ${generated})
  target_include_directories(${TARGET} SYSTEM PUBLIC ${out})
  target_link_libraries(${TARGET} PUBLIC protobuf::libprotobuf gRPC::grpc++)
endfunction()
