// Intrusive reference counting for immutable blocks that several shards share (messages, match lists). The count is
// atomic, so a Ref may be copied to and dropped on any thread; the object behind it is immutable or does its own
// locking. A Ref is one pointer wide.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

namespace petrel {

// Derive as `class Message : public RefCounted<Message>`. The object starts with no owner; Ref takes the first count.
// A type that allocates itself in an unusual way provides `static void destroy(const T*)`.
template <class T>
class RefCounted {
 public:
  RefCounted() = default;
  RefCounted(const RefCounted&) = delete;
  RefCounted& operator=(const RefCounted&) = delete;

  void add_ref() const noexcept { count_.fetch_add(1, std::memory_order_relaxed); }
  void release() const noexcept {
    // The last owner on one thread needs no locked instruction: nobody else can see the object.
    if (count_.load(std::memory_order_acquire) == 1 || count_.fetch_sub(1, std::memory_order_acq_rel) == 1)
      T::destroy(static_cast<const T*>(this));
  }
  bool has_one_owner() const noexcept { return count_.load(std::memory_order_acquire) == 1; }

  static void destroy(const T* object) noexcept { delete object; }

 protected:
  ~RefCounted() = default;

 private:
  mutable std::atomic<std::uint32_t> count_{0};
};

template <class T>
class Ref {
 public:
  Ref() = default;
  Ref(std::nullptr_t) {}
  explicit Ref(T* object) noexcept : object_(object) {
    if (object_ != nullptr) object_->add_ref();
  }
  Ref(const Ref& other) noexcept : Ref(other.object_) {}
  Ref(Ref&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  template <class U>
    requires std::is_convertible_v<U*, T*>
  Ref(Ref<U> other) noexcept : object_(other.detach()) {}
  Ref& operator=(Ref other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~Ref() {
    if (object_ != nullptr) object_->release();
  }

  T* get() const noexcept { return object_; }
  T& operator*() const noexcept { return *object_; }
  T* operator->() const noexcept { return object_; }
  explicit operator bool() const noexcept { return object_ != nullptr; }
  bool operator==(const Ref&) const = default;

  // Gives the count away; the caller must hand it to another Ref.
  T* detach() noexcept { return std::exchange(object_, nullptr); }

 private:
  T* object_ = nullptr;
};

template <class T, class... Args>
Ref<T> make_ref(Args&&... args) {
  return Ref<T>(new T(std::forward<Args>(args)...));
}

}  // namespace petrel
