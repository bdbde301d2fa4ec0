#!/usr/bin/env python3
"""Proves that each rule of scripts/tidy can fail, and that it does not when nothing is wrong."""
import importlib.machinery
import importlib.util
import pathlib
import unittest

SCRIPT = str(pathlib.Path(__file__).resolve().parent.parent / 'scripts' / 'tidy')
loader = importlib.machinery.SourceFileLoader('tidy', SCRIPT)
spec = importlib.util.spec_from_loader('tidy', loader)
tidy = importlib.util.module_from_spec(spec)
loader.exec_module(tidy)


class Tidy(unittest.TestCase):
    def test_include_upwards_is_refused(self):
        self.assertTrue(list(tidy.check_includes('base/a.h', '#include "wire/packet.h"\n')))
        self.assertTrue(list(tidy.check_includes('broker/a.cpp', '#include "net/event_loop.h"\n')))
        self.assertFalse(list(tidy.check_includes('broker/a.cpp', '#include "wire/packet.h"\n#include <vector>\n')))

    def test_include_without_folder_is_refused(self):
        self.assertTrue(list(tidy.check_includes('wire/a.cpp', '#include "packet.h"\n')))

    def test_adapters_are_folders_of_their_own(self):
        self.assertTrue(list(tidy.check_includes('broker/a.cpp', '#include "storage/memory/memory_store.h"\n')))
        self.assertFalse(list(tidy.check_includes('server/a.cpp', '#include "storage/memory/memory_store.h"\n')))
        self.assertFalse(list(tidy.check_includes('broker/a_test.cpp', '#include "storage/memory/memory_store.h"\n')))
        self.assertTrue(list(tidy.check_includes('broker/a_test.cpp', '#include "net/event_loop.h"\n')))

    def test_header_without_contract_or_guard_is_refused(self):
        self.assertTrue(list(tidy.check_header('a.h', '#pragma once\n')))
        self.assertTrue(list(tidy.check_header('a.h', '// What it is for.\n')))
        self.assertFalse(list(tidy.check_header('a.h', '// What it is for.\n#pragma once\n')))

    def test_long_file_is_refused(self):
        self.assertTrue(list(tidy.check_text('a.cpp', 'x\n' * 801)))
        self.assertFalse(list(tidy.check_text('a.cpp', 'x\n' * 800)))

    def test_unfinished_work_and_machine_paths_are_refused(self):
        self.assertTrue(list(tidy.check_text('a.cpp', '// TO' + 'DO: later\n')))
        self.assertTrue(list(tidy.check_text('a.cpp', 'see /ho' + 'me/someone/x\n')))

    def test_test_that_asserts_nothing_is_refused(self):
        self.assertTrue(list(tidy.check_test('a_test.cpp', 'TEST(A, B) {}\n')))
        self.assertFalse(list(tidy.check_test('a_test.cpp', 'TEST(A, B) { EXPECT_TRUE(true); }\n')))
        self.assertFalse(list(tidy.check_test('a_test.cpp', 'INSTANTIATE_TEST_SUITE_P(A, B, C());\n')))


if __name__ == '__main__':
    unittest.main()
