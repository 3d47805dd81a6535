# The ROS 2 wheels' imported targets name include folders of the machine that built the wheels, and CMake refuses a
# target with an include folder that does not exist. Included by CMAKE_PROJECT_INCLUDE; runs after CMakeLists.txt, when
# all targets are known, and drops those folders.
function(robot_vision_drop_missing_includes)
  get_property(targets DIRECTORY PROPERTY IMPORTED_TARGETS)
  foreach(target IN LISTS targets)
    get_target_property(folders ${target} INTERFACE_INCLUDE_DIRECTORIES)
    if(folders)
      set(kept)
      foreach(folder IN LISTS folders)
        # A generator expression cannot be looked up here, and none of the faulty folders is one.
        if(folder MATCHES "\\$<" OR EXISTS "${folder}")
          list(APPEND kept "${folder}")
        endif()
      endforeach()
      set_property(TARGET ${target} PROPERTY INTERFACE_INCLUDE_DIRECTORIES "${kept}")
    endif()
  endforeach()
endfunction()
cmake_language(DEFER CALL robot_vision_drop_missing_includes)
