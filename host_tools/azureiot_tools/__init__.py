"""Host tools for azureiot: certificates, boards, the simulator, the emulator, and the `azureiot` command."""
