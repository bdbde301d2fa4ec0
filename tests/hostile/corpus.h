// Streams to mutate: the packets of the committed fuzz corpora, and whole valid sessions made from a seed.
// Threads: const members from any.
#pragma once

#include <string>
#include <vector>

#include "random_source.h"

namespace petrel::hostile {

class Corpus {
 public:
  // Reads DIRECTORY/decode_*; throws Failure if there is nothing.
  explicit Corpus(const std::string& directory);

  // A client's packets as one of the fuzz seeds has them.
  const std::string& seed(RandomSource& random) const { return seeds_[random.below(seeds_.size())]; }
  std::size_t size() const { return seeds_.size(); }

 private:
  std::vector<std::string> seeds_;
};

// CONNECT, then some packets a client may send, of one version. Topics lie below "hostile/".
std::string valid_session(RandomSource& random, std::size_t packets);
// Bit flips, cuts, lies about lengths, splices with other seeds, repeats; some of them, at any place.
void mutate(std::string& stream, RandomSource& random, const Corpus& corpus);

}  // namespace petrel::hostile
