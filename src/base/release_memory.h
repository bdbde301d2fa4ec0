// Empties a container and gives its memory back. Assigning {} does not do the second: strings, vectors and hash tables
// take that for a list of no elements and keep their room.
//
// Threads: the container's.
#pragma once

namespace petrel {

template <class Container>
void release_memory(Container& container) {
  Container().swap(container);
}

}  // namespace petrel
