#include "storage/rocksdb/rocksdb_store.h"

#include "storage/contract.h"
#include "storage/rocksdb/test_directory.h"

namespace petrel::storage {
namespace {

class RocksPlace final : public StorePlace {
 public:
  explicit RocksPlace(Sync sync) : sync_(sync) { reopen(); }
  Store& store() override { return *store_; }
  void reopen() override {
    store_.reset();
    RocksStoreOptions options;
    options.directory = directory_.path();
    options.sync = sync_;
    options.sync_interval_ms = 1;
    auto opened = RocksStore::open(options);
    ASSERT_TRUE(opened.has_value()) << opened.error().what;
    store_ = std::move(*opened);
  }

 private:
  TestDirectory directory_;
  Sync sync_;
  std::unique_ptr<RocksStore> store_;
};

StoreUnderTest with(std::string name, Sync sync) {
  return {std::move(name), [sync] { return std::make_unique<RocksPlace>(sync); }};
}

INSTANTIATE_TEST_SUITE_P(Rocks, StoreContract,
                         testing::Values(with("always", Sync::kAlways), with("interval", Sync::kInterval),
                                         with("os", Sync::kOs)),
                         [](const auto& store) { return store.param.name; });

}  // namespace
}  // namespace petrel::storage
