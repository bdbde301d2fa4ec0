#include "storage/memory/memory_store.h"

#include "storage/contract.h"

namespace petrel::storage {
namespace {

// What survives a reopen is kept in the store object, so the same one is used again.
class MemoryPlace final : public StorePlace {
 public:
  Store& store() override { return store_; }
  void reopen() override {}

 private:
  MemoryStore store_{MemoryStoreOptions{.survives_reopen = true}};
};

INSTANTIATE_TEST_SUITE_P(Memory, StoreContract,
                         testing::Values(StoreUnderTest{"memory", [] { return std::make_unique<MemoryPlace>(); }}),
                         [](const auto& store) { return store.param.name; });

}  // namespace
}  // namespace petrel::storage
