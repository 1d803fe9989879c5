"""NVIDIA's driver, as far as it takes to run a package: no other library is needed."""

import ctypes
import json
import pathlib


class Failed(Exception):
    pass


class Driver:
    def __init__(self):
        self.lib = ctypes.CDLL("libcuda.so.1")
        self("cuInit", 0)
        device = ctypes.c_int()
        self("cuDeviceGet", ctypes.byref(device), 0)
        context = ctypes.c_void_p()
        # The context that PyTorch uses too.
        self("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
        self("cuCtxSetCurrent", context)

    def __call__(self, name, *arguments):
        status = getattr(self.lib, name)(*arguments)
        if status != 0:
            text = ctypes.c_char_p()
            self.lib.cuGetErrorString(status, ctypes.byref(text))
            raise Failed(f"{name}: {(text.value or b'?').decode()}")


class Package:
    """A folder that `tilewright build` has written, loaded for the device."""

    SHARED = 8  # CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES

    def __init__(self, driver, folder):
        self.driver = driver
        folder = pathlib.Path(folder)
        described = json.loads((folder / "package.json").read_text())
        code = described["variants"][0]["code"]["device"]
        self.plan = code["plan"]
        self.arguments = self.plan["signature"]["arguments"]
        self.integer = ctypes.c_int64 if self.plan["index_bits"] == 64 else ctypes.c_int32
        text = (folder / code["text"]).read_bytes() + b"\0"
        module, log = ctypes.c_void_p(), ctypes.create_string_buffer(1 << 16)
        # CU_JIT_ERROR_LOG_BUFFER and its size.
        options = (ctypes.c_int * 2)(5, 6)
        values = (ctypes.c_void_p * 2)(ctypes.cast(log, ctypes.c_void_p), len(log))
        try:
            driver("cuModuleLoadDataEx", ctypes.byref(module), text, 2, options, values)
        except Failed as failed:
            raise Failed(f"{failed}\n{log.value.decode()}") from None
        self.kernels = []
        for kernel in self.plan["kernels"]:
            function = ctypes.c_void_p()
            driver("cuModuleGetFunction", ctypes.byref(function), module, kernel["name"].encode())
            if kernel["dynamic_shared_bytes"] > 48 << 10:
                driver("cuFuncSetAttribute", function, self.SHARED, kernel["dynamic_shared_bytes"])
            self.kernels.append(function)

    def workspace_bytes(self):
        return max((part["offset"] + part["bytes"] for part in self.plan["workspace"]), default=0)

    def bind(self, pointers, workspace, faults):
        """The launches with these addresses: a function of a stream."""
        calls = []
        for launch in self.plan["launches"]:
            kernel = self.plan["kernels"][launch["kernel"]]
            values = [self.value(operand, pointers, workspace, faults) for operand in launch["operands"]]
            parameters = (ctypes.c_void_p * max(len(values), 1))()
            for at, value in enumerate(values):
                parameters[at] = ctypes.cast(ctypes.pointer(value), ctypes.c_void_p)
            calls.append((self.kernels[launch["kernel"]], launch["grid"], kernel, parameters, values))

        def call(stream):
            for function, grid, kernel, parameters, _ in calls:
                self.driver(
                    "cuLaunchKernel", function, *grid, *kernel["block"], kernel["dynamic_shared_bytes"],
                    ctypes.c_void_p(stream), parameters, None,
                )

        return call

    def value(self, operand, pointers, workspace, faults):
        if operand == "faults":
            return ctypes.c_void_p(faults)
        (kind, value), = operand.items()
        if kind == "argument":
            return ctypes.c_void_p(pointers[value])
        if kind == "workspace":
            return ctypes.c_void_p(workspace + self.plan["workspace"][value]["offset"])
        if kind == "stride":
            at, dim = value
            shape = self.arguments[at]["shape"]
            stride = 1
            for length in shape[dim + 1:]:
                stride *= length
            return self.integer(stride)
        return self.integer(value)
